"""The fault plan: which requests and events go wrong, and how. A script, repeatable by its seed.

A rule names a fault and narrows down what it hits: endpoint, symbol, client order id, time, chance,
the nth match. Faults of one request: at most one *answer* (the first rule that fires decides what the
client sees, and whether the order was executed behind it) and any number of *modifiers*.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

FaultKind = Literal[
    "reset_before", "reset_after", "silence_before", "silence_after", "timeout_1007", "unknown_1006",
    "unknown_503", "unavailable_503", "internal_503", "html_500", "disconnected_1001", "overload_1008",
    "garbage", "truncated", "http_429", "http_418", "answer", "late", "slow", "invisible", "clock_skew",
    "stream_gap", "stream_loss", "stream_duplicate", "stream_reorder", "stream_delay",
]  # fmt: skip
MODIFIERS = frozenset({"late", "slow", "invisible"})
STREAM_FAULTS = frozenset({"stream_gap", "stream_loss", "stream_duplicate", "stream_reorder", "stream_delay"})
RULES_MAX = 1_000
# A smaller time is no date but a distance.
EPOCH_MS_MIN = 10**12


class FaultRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule. Every condition that is given must hold; `nth` and `times` count its own matches.

    `endpoint`: an endpoint's name (`new_order`, `query_order`, `cancel_order`, `open_orders`, `all_orders`,
    `trades`, `account`, …), `any`, or `METHOD /path`; event types for stream faults (`any` by default).
    `executed`: whether the order is placed behind an answer that hides it; None: the fault's own default.
    `delay_ms`: how late (`late`, `slow`, `stream_delay`), how long (`invisible`, `http_429`, `http_418`,
    `stream_gap`), how far off (`clock_skew`, may be negative). `from_ms`, `until_ms`: UTC epoch milliseconds,
    or, below 10^12, counted from the moment at which the rule came into force. `scope` of
    `invisible`: GET order alone, or the lists as well. `status`, `code`, `text`: what `answer` says.
    """

    kind: FaultKind
    endpoint: str = ""
    probability: float = 1.0
    nth: int | None = None
    times: int | None = None
    symbol: str | None = None
    client_id_prefix: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    executed: bool | None = None
    delay_ms: int = 0
    scope: Literal["query", "all"] = "query"
    status: int = 400
    code: int | None = None
    text: str = ""

    def in_time(self, now_ms: int, origin_ms: int) -> bool:
        """Whether the rule is in force at `now_ms`, having come in at `origin_ms`."""
        return (self.from_ms is None or now_ms >= _moment(self.from_ms, origin_ms)) and (
            self.until_ms is None or now_ms < _moment(self.until_ms, origin_ms)
        )

    def concerns(self, names: Sequence[str], symbol: str, client_id: str) -> bool:
        """Whether it speaks of such a request or event."""
        default = "any" if self.kind in STREAM_FAULTS else "new_order"
        wanted = self.endpoint or default
        return (
            (wanted == "any" or wanted in names)
            and (self.symbol is None or self.symbol == symbol)
            and (self.client_id_prefix is None or client_id.startswith(self.client_id_prefix))
        )


def _moment(given_ms: int, origin_ms: int) -> int:
    return given_ms if given_ms >= EPOCH_MS_MIN else origin_ms + given_ms


class FaultPlanError(Exception):
    """A fault plan that cannot be read."""


class FaultPlan:
    """The rules in force, with how often each matched and fired."""

    def __init__(self, rules: Iterable[FaultRule], dice: random.Random) -> None:
        self._dice = dice
        self._now_ms: Callable[[], int] = lambda: 0
        self._origins_ms: list[int] = []
        self.replace(rules)

    def begin(self, now_ms: Callable[[], int]) -> None:
        """The plan has found its exchange, and with it the time; the rules that it has come into force."""
        self._now_ms = now_ms
        self._origins_ms = [now_ms()] * len(self.rules)

    def replace(self, rules: Iterable[FaultRule], at_ms: int | None = None) -> None:
        """These rules instead, their counts at zero; in force from now, or from `at_ms`, on."""
        self.rules: tuple[FaultRule, ...] = ()
        self._origins_ms = []
        self._matched: list[int] = []
        self._fired: list[int] = []
        self.add(rules, at_ms)

    def add(self, rules: Iterable[FaultRule], at_ms: int | None = None) -> None:
        """These rules as well, behind the others."""
        added = tuple(rules)
        if len(self.rules) + len(added) > RULES_MAX:
            raise FaultPlanError(f"fault plan has more than {RULES_MAX} rules: leave some out")
        self.rules += added
        self._origins_ms += [self._now_ms() if at_ms is None else at_ms] * len(added)
        self._matched += [0] * len(added)
        self._fired += [0] * len(added)

    def strikes(
        self, names: Sequence[str], *, symbol: str, client_id: str, now_ms: int, stream: bool = False
    ) -> list[FaultRule]:
        """The rules that fire for one request or event, in their order; at most one of them an answer."""
        firing: list[FaultRule] = []
        answered = False
        for index, rule in enumerate(self.rules):
            if rule.kind == "clock_skew" or (rule.kind in STREAM_FAULTS) is not stream:
                continue
            is_answer = rule.kind not in MODIFIERS
            if (is_answer and answered) or not rule.concerns(names, symbol, client_id):
                continue
            if rule.in_time(now_ms, self._origins_ms[index]) and self._fires(index, rule):
                answered = answered or is_answer
                firing.append(rule)
        return firing

    def _fires(self, index: int, rule: FaultRule) -> bool:
        self._matched[index] += 1
        if rule.nth is not None and self._matched[index] != rule.nth:
            return False
        if rule.times is not None and self._fired[index] >= rule.times:
            return False
        if rule.probability < 1.0 and self._dice.random() >= rule.probability:
            return False
        self._fired[index] += 1
        return True

    def skew_ms(self, now_ms: int) -> int:
        """How far the exchange's clock is off at `now_ms`."""
        return sum(
            rule.delay_ms
            for rule, origin_ms in zip(self.rules, self._origins_ms, strict=True)
            if rule.kind == "clock_skew" and rule.in_time(now_ms, origin_ms)
        )

    def counts(self) -> list[dict[str, object]]:
        """Each rule with how often it matched and fired, for people and drills."""
        return [
            {"rule": msgspec.to_builtins(rule), "matched": matched, "fired": fired}
            for rule, matched, fired in zip(self.rules, self._matched, self._fired, strict=True)
        ]


def parse_rules(text: bytes) -> tuple[FaultRule, ...]:
    """The rules of a JSON list; raises FaultPlanError with what is wrong with it."""
    try:
        return msgspec.json.decode(text, type=tuple[FaultRule, ...])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FaultPlanError(f"fault plan is no list of rules: {error}") from error
