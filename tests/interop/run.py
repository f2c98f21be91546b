"""Proves that the exchange in the box speaks the protocol: clients that nobody here wrote trade on it.

Each client has an environment of its own below `.interop/`, since three of them ship one module name. The
exchange runs as the real command with a journal; a client decodes the replies with its own models and says
what it believes, and the journal decides. A package that cannot be installed is skipped, loudly.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge import disagreements

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / ".interop"
# Documented, for practice alone.
KEY = "loopback-key"
SECRET = "loopback-secret"
INSTALL_S_MAX = 600
CLIENT_S_MAX = 120
START_S_MAX = 30
STOP_S_MAX = 15
TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Client:
    """A client script and the environment that it runs in."""

    name: str
    script: str
    requirements: str
    market: str = "futures"


CLIENTS = (
    Client("ccxt", "client_ccxt.py", "requirements-ccxt.txt"),
    Client("futures-connector", "client_futures_connector.py", "requirements-futures-connector.txt"),
    Client("python-binance", "client_python_binance.py", "requirements-python-binance.txt"),
    Client("sdk", "client_sdk.py", "requirements-sdk.txt"),
    Client("ccxt-spot", "client_ccxt_spot.py", "requirements-ccxt.txt", "spot"),
    Client("connector-spot", "client_connector_spot.py", "requirements-connector.txt", "spot"),
    Client("python-binance-spot", "client_python_binance_spot.py", "requirements-python-binance.txt", "spot"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """How one client fared: `agrees`, `SKIPPED` or `FAILED`, and why."""

    client: Client
    verdict: str
    why: tuple[str, ...] = ()
    belief: dict[str, Any] | None = None


def install(client: Client) -> str | None:
    """Make the client's environment as pinned; why not, when it cannot be made."""
    folder = ENVIRONMENTS / client.requirements.removeprefix("requirements-").removesuffix(".txt")
    wanted = HERE / client.requirements
    stamp = folder / "installed"
    mark = f"{folder} {sys.version} {hashlib.sha256(wanted.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text() == mark:
        return None
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, "--requirement", str(wanted)]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
        except subprocess.TimeoutExpired:
            return f"{' '.join(command[-2:])} took longer than {INSTALL_S_MAX} s"
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
    stamp.write_text(mark)
    return None


@contextlib.contextmanager
def exchange(market: str, journal: Path) -> Iterator[dict[str, Any]]:
    """The real command, until the block ends; what its ready line says."""
    command = [str(Path(sys.executable).parent / "execution-worker"), "exchange", "--port", "0"]
    command += ["--market", market, "--journal", str(journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield ready(process)
        finally:
            process.terminate()
            code = process.wait(STOP_S_MAX)
    if code:
        raise SystemExit(f"the exchange ended with {code} instead of 0")


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The facts of the ready line."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(START_S_MAX):
            raise SystemExit(f"the exchange was not ready within {START_S_MAX} s")
    word, _, facts = process.stdout.readline().partition(" ")
    if word != "exchange_ready":
        raise SystemExit(f"the exchange ended at its start with {process.wait(STOP_S_MAX)}")
    found: dict[str, Any] = json.loads(facts)
    return found


def run_client(client: Client, facts: dict[str, Any], journal: Path) -> Result:
    """One client's turn, and the journal's word on it."""
    prefix = f"{client.name.replace('-', '')}-{os.getpid()}-"
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", ""),
        # A proxy of this host must not come between.
        "NO_PROXY": "*",
        "INTEROP_REST_URL": facts["rest_url"],
        "INTEROP_STREAM_URL": facts["stream_url"],
        "INTEROP_KEY": KEY,
        "INTEROP_SECRET": SECRET,
        "INTEROP_PREFIX": prefix,
    }
    folder = ENVIRONMENTS / client.requirements.removeprefix("requirements-").removesuffix(".txt")
    command = [str(folder / "bin" / "python"), "-B", str(HERE / client.script)]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=CLIENT_S_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return Result(client, "FAILED", (f"took longer than {CLIENT_S_MAX} s",))
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return Result(client, "FAILED", tuple(done.stderr.strip().splitlines()[-TAIL_LINES:]))
    belief = json.loads(lines[-1])
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    found = disagreements(belief, entries, prefix)
    return Result(client, "FAILED" if found else "agrees", tuple(found), belief)


def run_market(market: str, clients: list[Client], folder: Path) -> list[Result]:
    """All clients of one market, one after the other, on one exchange."""
    journal = folder / f"{market}.jsonl"
    results = []
    with exchange(market, journal) as facts:
        for client in clients:
            why = install(client)
            results.append(Result(client, "SKIPPED", (why,)) if why else run_client(client, facts, journal))
    return results


def table(results: list[Result]) -> list[str]:
    """One line for each client, with its reasons below where there are any."""
    row = "{:<19} {:<45} {:<10} {:<8} {:>6} {:>6} {:>7} {:>5}  {}".format
    lines = [row("client", "package", "version", "market", "checks", "orders", "refused", "fills", "verdict")]
    for result in results:
        belief = result.belief or {}
        counts = [len(belief.get(name, ())) for name in ("checks", "orders", "refused", "fills")]
        told = (belief.get("package", "-"), belief.get("version", "-"))
        verdict = "agrees with the journal" if result.verdict == "agrees" else result.verdict
        lines.append(row(result.client.name, *told, result.client.market, *counts, verdict))
        lines += [f"    {why}" for why in result.why]
    return lines


def main() -> int:
    """0 when every client that could be installed agrees with the journal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", choices=[one.name for one in CLIENTS])
    only = parser.parse_args().only
    started_s = time.monotonic()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        for market in ("futures", "spot"):
            chosen = [one for one in CLIENTS if one.market == market and only in (None, one.name)]
            if chosen:
                results += run_market(market, chosen, Path(folder))
    sys.stdout.write("\n".join(table(results)) + "\n")
    for result in results:
        if result.verdict == "SKIPPED":
            sys.stdout.write(
                f"!! {result.client.name} WAS SKIPPED, nothing was proven with it: {result.why[0]}\n"
            )
    failed = sum(result.verdict == "FAILED" for result in results)
    passed = sum(result.verdict == "agrees" for result in results)
    took_s = time.monotonic() - started_s
    sys.stdout.write(
        f"{passed} of {len(results)} clients agree with the journal, {failed} do not ({took_s:.0f} s)\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
