"""A small orchestrator: starts services by their entries, waits, probes, restarts and stops them in order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

LOOK_S = 0.05


def entry_of(path: Path, **values: str) -> dict[str, Any]:
    """The entry with its values filled in; `values` go before those of the file."""
    entry = yaml.safe_load(path.read_text())
    known = {name: str(value) for name, value in {**entry.pop("values"), **values}.items()}
    filled = _filled(entry, known)
    assert isinstance(filled, dict)
    return {**filled, "values": known}


def _filled(node: object, values: Mapping[str, str]) -> object:
    match node:
        case str():
            for name, value in values.items():
                node = node.replace(f"{{{name}}}", value)
            return node
        case dict():
            return {key: _filled(value, values) for key, value in node.items()}
        case list():
            return [_filled(value, values) for value in node]
    return node


@dataclass
class Service:
    """One service and its present process."""

    entry: dict[str, Any]
    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    exit_codes: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    def start(self) -> None:
        """Start it; what it says goes to a file of this start."""
        self.starts += 1
        with (self.folder / f"{self.name}-{self.starts}.said").open("wb") as said:
            self.process = subprocess.Popen(
                self.entry["cmd"],
                env={**self.environment, **self.entry.get("env", {})},
                stdout=said,
                stderr=said,
            )

    def is_ready(self) -> bool:
        """Whether its keyword was said since this start."""
        args = self.entry.get("ready_probe_args")
        said = (self.folder / f"{self.name}-{self.starts}.said").read_text()
        return args is None or args["keyword"] in said

    def is_healthy(self) -> list[bool]:
        """Each health probe, in the order of the entry."""
        return [self._probe(probe) for probe in self.entry["health_probes"]]

    def _probe(self, probe: Mapping[str, Any]) -> bool:
        if probe["probe"] == "http":
            return status_of(probe["url"]) == probe["expect_status"]
        assert probe["probe"] == "file_count"
        symbols = self.entry["values"]["symbols"].split(",")
        patterns = [probe["pattern"].replace("{symbol}", symbol) for symbol in symbols]
        return all(len(glob(pattern)) >= probe["min_count"] for pattern in patterns)

    def look_after(self) -> bool:
        """Start it again when it has died of something that a restart can mend; whether it did."""
        assert self.process is not None
        code = self.process.poll()
        if code is None or code in self.entry["restart_args"]["final_exit_codes"]:
            return False
        self.exit_codes.append(code)
        delays_s = self.entry["restart_args"]["delays_s"]
        time.sleep(delays_s[min(len(self.exit_codes), len(delays_s)) - 1])
        self.start()
        return True

    def stop(self) -> None:
        """By its own signal, and by force when it takes too long."""
        assert self.process is not None
        stop = self.entry.get("stop", {"signal": "SIGTERM", "within_s": 10})
        self.process.send_signal(signal.Signals[stop["signal"]])
        try:
            self.exit_codes.append(self.process.wait(stop["within_s"]))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.exit_codes.append(self.process.wait())


def status_of(url: str) -> int:
    """The status code; 0 when nobody answers."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def start_order(services: Sequence[Service]) -> list[Service]:
    """Each after what it depends on, as far as that is here."""
    return _sorted(services, lambda one: set(one.entry.get("depends_on", ())))


def stop_order(services: Sequence[Service]) -> list[Service]:
    """Each after those that its entry names, and before those that it names."""

    def first(one: Service) -> set[str]:
        sooner = {
            other.name for other in services if one.name in other.entry.get("stop", {}).get("before", ())
        }
        return set(one.entry.get("stop", {}).get("after", ())) | sooner

    return _sorted(services, first)


def _sorted(services: Sequence[Service], needs: Any) -> list[Service]:
    names = {one.name for one in services}
    done: list[Service] = []
    while len(done) < len(services):
        passed = {one.name for one in done}
        nexts = [one for one in services if one not in done and not (needs(one) & names) - passed]
        assert nexts, "the entries wait for each other"
        done.append(nexts[0])
    return done


def plain_environment() -> dict[str, str]:
    """Of this process, without settings of the worker."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("V13_", "BINANCE_"))}
