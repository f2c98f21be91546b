"""The desk: halt and resume for those who ask over HTTP, by the same way as the commands take.

A halt of everything is in force by its file before anything else is asked, so it works while the store
is stuck. The rest is a request in the control folder, which the worker answers like any other.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.seams import Clock
from store.control import ControlAnswer, ControlError, ControlRequest, Unreadable
from store.halt_file import write_halt
from store.records import Halt
from worker.durations import EXAMPLES, seconds_of
from worker.halts import Halts
from worker.http_token import TokenFile
from worker.logs import Log
from worker.requests import NO_ANSWER, ask_worker

# The worker looks twice a second; who waits longer is told so, and the connection ends at ten.
ANSWER_S_MAX = 5.0
# Together with the commands fewer than the worker reads at a time.
ASKING_MAX = 4
WHY_CHARACTERS_MAX = 200
UNTIL_MS_MAX = 4_102_444_800_000
_SYMBOL = re.compile(r"[A-Z0-9]{2,20}")
_ALL = ("", "all")
SCOPE_RULE = "symbol must be one like BTCUSDT, or be left out for everything"


class _Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    why: str
    symbol: str | None = None
    scope: str | None = None


class _Halt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"lasts": "for"}):
    why: str
    symbol: str | None = None
    scope: str | None = None
    new_only: bool = False
    lasts: str | None = None
    until_ms: int | None = None


_decode_halt = msgspec.json.Decoder(_Halt).decode
_decode_resume = msgspec.json.Decoder(_Resume).decode


class WishError(Exception):
    """The body is no halt or resume; the text says what it must be."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is answered: an HTTP status, whether it was done, and the sentence."""

    status: int
    done: bool
    text: str


class Desk:
    """Takes a request that was found to be allowed, and says what came of it."""

    def __init__(self, token: TokenFile | None, folder: Path, halts: Halts, log: Log, clock: Clock) -> None:
        self.token = token
        self.log = log
        self.clock = clock
        self._folder = folder
        self._halts = halts
        self._asking = asyncio.Semaphore(ASKING_MAX)
        self._asked = 0

    def in_force(self) -> list[dict[str, object]]:
        """The halts of this moment, rows and file, as /status shows them."""
        return [msgspec.structs.asdict(halt) for halt in self._halts.in_force()]

    async def carry_out(self, do: str, body: bytes, who: str) -> Said:
        """Do what `body` asks of `do`, which is halt or resume. Raises WishError for what makes no sense."""
        now_ms = self.clock.wall_ms()
        args = _halt_args(body, now_ms) if do == "halt" else _resume_args(body)
        self.log.event("control_asked", do=do, who=who, scope=args["scope"] or "all", why=args["why"])
        held = do == "halt" and not args["scope"] and await self._by_file(args, who, now_ms)
        said = await self._ask(ControlRequest(do=do, args=args, who=who, at_ms=now_ms))
        if held and not said.done:
            # The file holds all the same.
            return Said(200, True, f"new orders are halted by the file HALT; {said.text}")
        return said

    async def _by_file(self, args: dict[str, str], who: str, now_ms: int) -> bool:
        """The file at once, and whether it is there."""
        until = args.get("until_ms")
        halt = Halt(
            scope="",
            why=args["why"],
            who=who,
            at_ms=now_ms,
            new_only=args["new_only"] == "yes",
            until_ms=None if until is None else int(until),
        )
        try:
            await asyncio.to_thread(write_halt, self._folder, halt)
        except OSError as error:
            self.log.error("halt_file_not_written", why=error.strerror or type(error).__name__)
            return False
        return True

    async def _ask(self, request: ControlRequest) -> Said:
        self._asked += 1
        key = f"{self.clock.wall_ms()}-{os.getpid()}-http-{self._asked}"
        try:
            async with asyncio.timeout(2 * ANSWER_S_MAX), self._asking:
                answer = await ask_worker(self._folder, request, self.clock, key, patience_s=ANSWER_S_MAX)
        except TimeoutError:
            answer = None
        except ControlError as error:
            return Said(503, False, str(error))
        match answer:
            case None:
                return Said(503, False, NO_ANSWER.format(ANSWER_S_MAX))
            case Unreadable():
                return Said(503, False, answer.why)
            case ControlAnswer():
                return Said(200 if answer.done else 409, answer.done, answer.text)


def _halt_args(body: bytes, now_ms: int) -> dict[str, str]:
    try:
        wish = _decode_halt(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _no_wish(error, ("why", "symbol", "new_only", "for", "until_ms")) from None
    args = {
        "scope": _scope(wish.symbol, wish.scope),
        "why": _why(wish.why),
        "new_only": "yes" if wish.new_only else "no",
    }
    until_ms = wish.until_ms
    if wish.lasts is not None:
        seconds = seconds_of(wish.lasts)
        if seconds is None or until_ms is not None:
            raise WishError(f"for must be like {EXAMPLES}, and stand without until_ms")
        until_ms = now_ms + 1_000 * seconds
    if until_ms is not None:
        if not now_ms < until_ms <= UNTIL_MS_MAX:
            raise WishError("the end must be a time to come, before the year 2100")
        args["until_ms"] = str(until_ms)
    return args


def _resume_args(body: bytes) -> dict[str, str]:
    try:
        wish = _decode_resume(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _no_wish(error, ("why", "symbol")) from None
    return {"scope": _scope(wish.symbol, wish.scope), "why": _why(wish.why)}


def _no_wish(error: Exception, fields: Iterable[str]) -> WishError:
    shown = "".join(mark if mark.isprintable() else "?" for mark in str(error))[:WHY_CHARACTERS_MAX]
    return WishError(f"the body must be a JSON object of {', '.join(fields)} ({shown})")


def _scope(symbol: str | None, scope: str | None) -> str:
    """The symbol, "" for everything; /status calls it the scope of a halt."""
    if symbol is not None and scope is not None:
        raise WishError("symbol and scope mean the same: give one of them")
    name = (symbol if symbol is not None else scope) or ""
    if name.lower() in _ALL and symbol is None:
        return ""
    if not _SYMBOL.fullmatch(name.upper()):
        raise WishError(SCOPE_RULE)
    return name.upper()


def _why(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > WHY_CHARACTERS_MAX or not words.isprintable():
        raise WishError(f"why must be 1 to {WHY_CHARACTERS_MAX} characters that can be printed")
    return words
