"""The command `healthcheck`: one question to the running worker, one exit code for whoever asks.

Made for a container's health check and for scripts: it asks /readyz, so a worker that recovers, or
that cannot commit, is not healthy yet. It reads two settings and touches neither store nor source.
"""

from __future__ import annotations

from dataclasses import dataclass

import typer

from worker.asked_at import asked_at
from worker.cli_options import ConfigFile, earlier, given_of
from worker.exits import Exit

# Not Exit.BUG, though the number is the same: container engines know 0 and 1 alone.
NOT_READY = 1
TIMEOUT_S = 5.0
SENTENCE_BYTES_MAX = 2_048
SERVER = "execution-worker"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An exit code, and the sentence that explains it."""

    code: int
    sentence: str


def healthcheck(ctx: typer.Context, config: ConfigFile = None) -> None:
    """Say whether the running worker is ready: 0 ready, 1 not ready and why, 3 not running."""
    http = given_of(config).over(earlier(ctx)).load(trades=False).settings.execution.http
    verdict = ask(http.host, http.port)
    healthy = verdict.code == Exit.OK
    typer.echo(verdict.sentence if healthy else f"{SERVER}: {verdict.sentence}", err=not healthy)
    raise typer.Exit(verdict.code)


def ask(host: str, port: int) -> Verdict:
    """What the worker at this address says of itself; one request, a few seconds at most."""
    import http.client

    if port == 0:
        return Verdict(
            Exit.CONFIGURATION,
            "execution.http.port is 0, which is another port at every start: set a number to be asked at",
        )
    connection = http.client.HTTPConnection(asked_at(host), port, timeout=TIMEOUT_S)
    where = f"{host}:{port}"
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(SENTENCE_BYTES_MAX).decode("utf-8", "replace")
    except TimeoutError:
        return Verdict(NOT_READY, f"{where} does not answer within {TIMEOUT_S:.0f} s: see the worker's log")
    except (OSError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        return Verdict(Exit.NOT_RUNNING, f"nothing answers at {where} ({why}): start the worker")
    except http.client.HTTPException:
        return Verdict(Exit.NOT_RUNNING, _stranger(where))
    finally:
        connection.close()
    if answer.headers.get("Server") != SERVER:
        return Verdict(Exit.NOT_RUNNING, _stranger(where))
    if answer.status == 200:
        return Verdict(Exit.OK, f"ready at {where}")
    sentence = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return Verdict(NOT_READY, f"not ready: {sentence or f'HTTP status {answer.status}'}")


def _stranger(where: str) -> str:
    return f"another program answers at {where}: stop it, or give the worker another execution.http.port"
