"""The proof that an order was not accepted and never will be: a state machine fed with the exchange's words.

Pure, and every time in it is the exchange's own: the host's clocks may jump as they like. The matching engine
refuses what is older than its receive window, so an order that is not accepted when the window has closed
never will be; what remains is the time until the exchange shows what it has. Any doubt is "not yet", and
whatever speaks against the absence begins the proof anew.
"""

from __future__ import annotations

import msgspec

# While the order may still be on its way it is asked for often: most turn up within a second or two.
EARLY_DELAY_MS = 200
EARLY_DOUBLINGS_MAX = 10
# Orders that ended unfilled are forgotten after 3 days: about older ones "does not exist" says nothing.
MEMORY_MS = 3 * 86_400_000 - 3_600_000
# Looking at everything costs some twenty times one question: a position that proves nothing is looked at less
# often in the end, so that many orders in doubt leave room for each other and for cancels. In spacings.
EVIDENCE_SPACINGS_MAX = 12
# However low the spacing is set, questions do not follow each other without a pause.
SPACING_MS_MIN = 20


class AbsenceNumbers(msgspec.Struct, frozen=True):
    """How much is demanded; the names are those of the `broker:` settings.

    `margin_ms` after the window: queues before the engine. `visibility_ms`: how long the exchange may take to
    show an accepted order; at least `answers_min` answers, `spacing_ms` apart, must span it. `memory_ms`: how
    long after its window an order is sure to be remembered.
    """

    margin_ms: int
    visibility_ms: int
    spacing_ms: int
    answers_min: int = 3
    memory_ms: int = MEMORY_MS


class SendWindow(msgspec.Struct, frozen=True):
    """When the order can have reached the exchange: not before `opens_ms`, not accepted after `closes_ms`."""

    opens_ms: int
    closes_ms: int


class Evidence(msgspec.Struct, frozen=True):
    """What else the exchange shows, asked for after the last "does not exist".

    `unexplained`: orders and trades that no other known order explains. `unanswered`: what could not be
    learned. `position_fits`: the position is what the ledger expects; None where nobody can tell.
    `moved_like_order`: it differs the way this order would have moved it. `stream_since_ms`: since when the
    user stream runs without a gap.
    """

    unexplained: tuple[str, ...] = ()
    unanswered: str | None = None
    position_fits: bool | None = None
    moved_like_order: bool = False
    stream_since_ms: int | None = None


class Pending(msgspec.Struct, frozen=True):
    """Not yet: ask again in `wait_ms`."""

    wait_ms: int
    why: str


class EvidenceDue(msgspec.Struct, frozen=True):
    """The answers suffice: now everything else has to be looked at."""


class Proven(msgspec.Struct, frozen=True):
    """The order was not accepted and never will be."""


class _Answer(msgspec.Struct, frozen=True):
    """One "does not exist", given between these two moments of the exchange's clock."""

    earliest_ms: int
    latest_ms: int


class AbsenceProof:
    """The proof for one order and one window. Feed it each round's facts; only `judged` can end it.

    A round begins with the exchange's time and goes on with the question for the order, so an answer is never
    older than the time it is counted at.
    """

    def __init__(self, window: SendWindow, numbers: AbsenceNumbers) -> None:
        self.window = window
        self._numbers = numbers
        self._first: _Answer | None = None
        self._last: _Answer | None = None
        self._counted = 0
        self._rounds = 0
        self._newest_ms: int | None = None
        self._evidence_due = False
        self._judged = 0

    @property
    def fence_ms(self) -> int:
        """Answers given later than this (exchange's clock) count."""
        return self.window.closes_ms + self._numbers.margin_ms

    @property
    def counted(self) -> int:
        """How many answers count so far."""
        return self._counted

    def too_early(self, exchange_ms: int) -> Pending | None:
        """Not yet, while by this guess of the exchange's clock no answer can count; else None."""
        if exchange_ms > self.fence_ms:
            return None
        self._rounds += 1
        return self._until_the_fence(exchange_ms)

    def absent(self, server_ms: int, took_ms: int) -> Pending | EvidenceDue:
        """The exchange said "does not exist".

        `server_ms`: the exchange's time as returned in this round, before the question left. `took_ms`: from
        the begin of the round to the answer; only bounds how late the answer can have been given.
        """
        assert took_ms >= 0
        self._rounds += 1
        self._evidence_due = False
        if self._newest_ms is not None and server_ms < self._newest_ms:
            self._newest_ms = server_ms
            return self.contradicted("the exchange's clock went back")
        self._newest_ms = server_ms
        if server_ms <= self.fence_ms:
            return self._until_the_fence(server_ms)
        if server_ms > self.window.closes_ms + self._numbers.memory_ms:
            return self.contradicted("it is so old that the exchange may have forgotten it")
        self._count(_Answer(server_ms, server_ms + took_ms))
        return self._after_the_fence(server_ms)

    def unanswered(self, why: str) -> Pending:
        """Nothing definite was said; what counts already stays."""
        self._rounds += 1
        self._evidence_due = False
        return Pending(self._early_delay_ms(), why)

    def contradicted(self, why: str) -> Pending:
        """Something speaks against the absence: begin anew."""
        self._first = self._last = None
        self._counted = 0
        self._evidence_due = False
        return Pending(self._spacing_ms(), why)

    def judged(self, evidence: Evidence) -> Proven | Pending:
        """The last word, on evidence that was asked for after the answer that made it due."""
        assert self._evidence_due, "evidence counts only right after the answer that asked for it"
        self._evidence_due = False
        if evidence.unexplained:
            return self.contradicted(f"not explained by other orders: {', '.join(evidence.unexplained)}")
        if evidence.unanswered is not None:
            return Pending(self._spacing_ms(), evidence.unanswered)
        if evidence.moved_like_order:
            return self.contradicted("the position moved the way this order would have moved it")
        since_ms = evidence.stream_since_ms
        if evidence.position_fits or (since_ms is not None and since_ms <= self.window.opens_ms):
            return Proven()
        position = "differs from the ledger" if evidence.position_fits is False else "cannot be told"
        return Pending(self._evidence_delay_ms(), f"the position {position} and the user stream had a gap")

    def _until_the_fence(self, exchange_ms: int) -> Pending:
        left_ms = self.fence_ms - exchange_ms + 1
        wait_ms = min(left_ms, self._early_delay_ms())
        return Pending(wait_ms, f"the exchange may still accept it for {left_ms} ms")

    def _count(self, answer: _Answer) -> None:
        if self._first is None or self._last is None:
            self._first = self._last = answer
            self._counted = 1
        elif answer.earliest_ms >= self._last.latest_ms + self._numbers.spacing_ms:
            self._last = answer
            self._counted += 1

    def _after_the_fence(self, server_ms: int) -> Pending | EvidenceDue:
        first, last = self._first, self._last
        assert first is not None
        assert last is not None
        spanned_ms = last.earliest_ms - first.latest_ms
        enough = self._counted >= self._numbers.answers_min and spanned_ms >= self._numbers.visibility_ms
        if enough:
            self._evidence_due = True
            return EvidenceDue()
        wait_ms = last.latest_ms + self._numbers.spacing_ms - server_ms
        why = f"said not to exist {self._counted} times over {max(0, spanned_ms)} ms"
        return Pending(max(0, wait_ms), why)

    def _early_delay_ms(self) -> int:
        doublings = min(max(0, self._rounds - 1), EARLY_DOUBLINGS_MAX)
        return min(self._spacing_ms(), EARLY_DELAY_MS << doublings)

    def _evidence_delay_ms(self) -> int:
        self._judged += 1
        return self._spacing_ms() * min(
            EVIDENCE_SPACINGS_MAX, 1 << min(self._judged - 1, EARLY_DOUBLINGS_MAX)
        )

    def _spacing_ms(self) -> int:
        return max(SPACING_MS_MIN, self._numbers.spacing_ms)
