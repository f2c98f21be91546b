"""One question, one answer, or one word for why there is none.

What the account, the rules and the books are asked for; nothing of this places or cancels an order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, assert_never

import msgspec

from adapters.binance.client import Client, NoAnswer, NotLeft, Replied
from adapters.binance.verdicts import (
    Ambiguous,
    Backoff,
    Denied,
    Duplicate,
    NoSuchOrder,
    Ok,
    Refused,
    Resync,
    Verdict,
    reply_verdict,
)
from adapters.binance.wire import Request

T = TypeVar("T")


class Trouble(msgspec.Struct, frozen=True):
    """Why a question has no answer; `retry_at_ms` is the host's wall clock.

    `unavailable`: no answer, or none now · `deadline`: the venue wants to hear nothing · `denied`: the key
    may not ask · `unreadable`: something else answered · `missing`: there is no such thing · `refused`:
    the question itself is wrong.
    """

    kind: Literal["unavailable", "deadline", "denied", "unreadable", "missing", "refused"]
    text: str
    retry_at_ms: int | None = None


async def ask(
    client: Client, request: Request, read: Callable[[bytes], T | None], *, urgent: bool = False
) -> T | Trouble:
    """What `read` makes of the reply. One request; may be repeated."""
    answer = await client.call(request, urgent=urgent)
    match answer:
        case NotLeft(code=code, text=text, retry_at_ms=retry_at_ms):
            return Trouble("deadline" if code == "deadline" else "unavailable", text, retry_at_ms)
        case NoAnswer(why=why):
            return Trouble("unavailable", why)
        case Replied():
            said = judged(client, answer, placing=False)
            if not isinstance(said, Ok):
                return _trouble(client, said)
            value = read(answer.body)
            return Trouble("unreadable", "the reply cannot be read") if value is None else value
        case _:
            assert_never(answer)


def listens_again_ms(client: Client) -> int:
    """When the deadline of the venue is over for sure, by the host's wall clock."""
    return client.wall_ms_at(client.budget.deadline_ms + client.margin_ms)


def judged(client: Client, reply: Replied, *, placing: bool) -> Verdict:
    """What a whole reply proves."""
    return reply_verdict(client.market, reply, placing=placing)


def _trouble(client: Client, said: Verdict) -> Trouble:
    match said:
        case Denied(text=text):
            return Trouble("denied", text)
        case Backoff(text=text):
            return Trouble("deadline", text, listens_again_ms(client))
        case NoSuchOrder(text=text):
            return Trouble("missing", text)
        case Refused(text=text) | Duplicate(text=text):
            return Trouble("refused", text)
        case Resync(text=why) | Ambiguous(why=why):
            return Trouble("unavailable", why)
        case Ok():
            return Trouble("unreadable", "the reply cannot be read")
        case _:
            assert_never(said)
