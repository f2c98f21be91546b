"""The proof of absence: what it takes, what keeps it open, what begins it anew; and it is never wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.absence import (
    AbsenceNumbers,
    AbsenceProof,
    Evidence,
    EvidenceDue,
    Pending,
    Proven,
    SendWindow,
)

OPENS_MS = 1_000_000
CLOSES_MS = 1_010_000
NUMBERS = AbsenceNumbers(margin_ms=10_000, visibility_ms=60_000, spacing_ms=5_000)
FENCE_MS = CLOSES_MS + NUMBERS.margin_ms
FITS = Evidence(position_fits=True)


def fresh_proof() -> AbsenceProof:
    return AbsenceProof(SendWindow(OPENS_MS, CLOSES_MS), NUMBERS)


def due_proof() -> AbsenceProof:
    """A proof that only waits for the evidence."""
    proof = fresh_proof()
    for server_ms in range(FENCE_MS + 1, FENCE_MS + 60_002, 5_000):
        word = proof.absent(server_ms, 0)
    assert isinstance(word, EvidenceDue)
    return proof


def test_answers_before_the_fence_count_for_nothing() -> None:
    proof = fresh_proof()

    words = [proof.absent(server_ms, 10) for server_ms in range(OPENS_MS, FENCE_MS + 1, 100)]

    assert all(isinstance(word, Pending) for word in words)
    assert proof.counted == 0


def test_the_moment_of_the_fence_itself_is_too_early() -> None:
    proof = fresh_proof()

    proof.absent(FENCE_MS, 0)
    before = proof.counted
    proof.absent(FENCE_MS + 1, 0)

    assert (before, proof.counted) == (0, 1)


def test_three_answers_over_the_visibility_call_for_the_evidence() -> None:
    proof = fresh_proof()

    words = [proof.absent(FENCE_MS + 1 + step_ms, 0) for step_ms in (0, 30_000, 60_000)]

    assert [type(word) for word in words] == [Pending, Pending, EvidenceDue]


def test_two_answers_are_too_few_however_far_apart() -> None:
    proof = fresh_proof()

    words = [proof.absent(FENCE_MS + 1, 0), proof.absent(FENCE_MS + 1_000_000, 0)]

    assert all(isinstance(word, Pending) for word in words)


def test_many_answers_in_a_shorter_time_than_the_visibility_are_too_few() -> None:
    proof = fresh_proof()

    words = [proof.absent(FENCE_MS + 1 + step_ms, 0) for step_ms in range(0, 60_000, 5_000)]

    assert all(isinstance(word, Pending) for word in words)


def test_answers_closer_than_the_spacing_count_once() -> None:
    proof = fresh_proof()

    for step_ms in range(0, 5_000, 100):
        proof.absent(FENCE_MS + 1 + step_ms, 0)

    assert proof.counted == 1


def test_an_answer_that_took_long_is_dated_as_late_as_it_can_have_been() -> None:
    proof = fresh_proof()

    proof.absent(FENCE_MS + 1, 4_000)
    proof.absent(FENCE_MS + 1 + 8_999, 0)
    too_close = proof.counted
    proof.absent(FENCE_MS + 1 + 9_000, 0)

    assert (too_close, proof.counted) == (1, 2)


def test_the_visibility_begins_when_the_first_answer_was_given_at_the_latest() -> None:
    proof = fresh_proof()

    for step_ms in (0, 30_000):
        proof.absent(FENCE_MS + 1 + step_ms, 2_000)

    assert isinstance(proof.absent(FENCE_MS + 1 + 61_999, 0), Pending)
    assert isinstance(proof.absent(FENCE_MS + 1 + 67_000, 0), EvidenceDue)


def test_questions_come_fast_at_first_and_never_slower_than_the_spacing() -> None:
    proof = fresh_proof()

    waits = [proof.absent(OPENS_MS + step_ms, 0) for step_ms in range(8)]

    assert [word.wait_ms for word in waits if isinstance(word, Pending)] == [
        200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000,
    ]  # fmt: skip


def test_the_last_wait_before_the_fence_ends_right_behind_it() -> None:
    proof = fresh_proof()

    word = proof.absent(FENCE_MS - 49, 0)

    assert isinstance(word, Pending)
    assert word.wait_ms == 50
    assert "may still accept it for 50 ms" in word.why


def test_after_the_fence_the_next_question_is_asked_when_it_can_count() -> None:
    proof = fresh_proof()

    word = proof.absent(FENCE_MS + 1, 300)

    assert isinstance(word, Pending)
    assert word.wait_ms == 5_300
    assert "said not to exist 1 times" in word.why


def test_an_exchange_clock_that_goes_back_begins_the_proof_anew() -> None:
    proof = fresh_proof()
    proof.absent(FENCE_MS + 1, 0)
    proof.absent(FENCE_MS + 40_000, 0)

    word = proof.absent(FENCE_MS + 30_000, 0)

    assert isinstance(word, Pending)
    assert word.why == "the exchange's clock went back"
    assert proof.counted == 0


def test_a_clock_that_went_back_can_still_be_followed_by_a_proof() -> None:
    proof = due_proof()
    proof.absent(FENCE_MS + 1, 0)

    words = [proof.absent(FENCE_MS + 2 + step_ms, 0) for step_ms in (0, 30_000, 60_000)]

    assert isinstance(words[-1], EvidenceDue)


def test_an_order_that_the_exchange_may_have_forgotten_is_never_proven_absent() -> None:
    proof = fresh_proof()
    forgotten_ms = CLOSES_MS + NUMBERS.memory_ms + 1

    words = [proof.absent(forgotten_ms + step_ms, 0) for step_ms in (0, 30_000, 60_000, 90_000)]

    assert {word.why for word in words if isinstance(word, Pending)} == {
        "it is so old that the exchange may have forgotten it"
    }
    assert len(words) == 4


def test_a_guess_of_the_clock_saves_questions_and_counts_nothing() -> None:
    proof = fresh_proof()

    early, late = proof.too_early(FENCE_MS), proof.too_early(FENCE_MS + 1)

    assert early is not None
    assert (early.wait_ms, late, proof.counted) == (1, None, 0)


def test_silence_neither_counts_nor_begins_anew() -> None:
    proof = fresh_proof()
    proof.absent(FENCE_MS + 1, 0)

    word = proof.unanswered("no answer within 10 s")

    assert isinstance(word, Pending)
    assert word.why == "no answer within 10 s"
    assert proof.counted == 1


def test_a_position_as_expected_ends_the_proof() -> None:
    assert due_proof().judged(FITS) == Proven()


def test_a_stream_without_a_gap_ends_the_proof() -> None:
    assert due_proof().judged(Evidence(stream_since_ms=OPENS_MS)) == Proven()
    assert due_proof().judged(Evidence(position_fits=False, stream_since_ms=OPENS_MS)) == Proven()


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(),
        Evidence(position_fits=False),
        Evidence(stream_since_ms=OPENS_MS + 1),
        Evidence(position_fits=False, stream_since_ms=OPENS_MS + 1),
        Evidence(position_fits=True, unanswered="the order history gave no answer"),
        Evidence(position_fits=True, unexplained=("trade 7 of order 12",)),
        Evidence(moved_like_order=True, stream_since_ms=OPENS_MS),
    ],
)
def test_any_doubt_in_the_evidence_is_not_yet(evidence: Evidence) -> None:
    word = due_proof().judged(evidence)

    assert isinstance(word, Pending)
    assert word.wait_ms == 5_000
    assert word.why


def test_evidence_that_says_nothing_leaves_the_answers_standing() -> None:
    proof = due_proof()

    proof.judged(Evidence(position_fits=True, unanswered="the order history gave no answer"))

    assert isinstance(proof.absent(FENCE_MS + 70_000, 0), EvidenceDue)
    assert proof.judged(FITS) == Proven()


@pytest.mark.parametrize(
    "evidence", [Evidence(unexplained=("order 12",)), Evidence(moved_like_order=True, position_fits=False)]
)
def test_evidence_against_the_absence_begins_the_proof_anew(evidence: Evidence) -> None:
    proof = due_proof()

    proof.judged(evidence)

    assert proof.counted == 0
    assert isinstance(proof.absent(FENCE_MS + 70_000, 0), Pending)


def test_a_contradiction_begins_the_proof_anew() -> None:
    proof = due_proof()

    word = proof.contradicted("the stream showed the order")

    assert (word.why, proof.counted) == ("the stream showed the order", 0)


def test_evidence_that_nobody_asked_for_is_a_bug() -> None:
    proof = due_proof()
    proof.judged(Evidence())

    with pytest.raises(AssertionError):
        proof.judged(FITS)
    with pytest.raises(AssertionError):
        fresh_proof().judged(FITS)


def test_numbers_of_nothing_still_take_three_answers() -> None:
    proof = AbsenceProof(SendWindow(OPENS_MS, CLOSES_MS), AbsenceNumbers(0, 0, 0))

    words = [proof.absent(CLOSES_MS + 1 + step_ms, 0) for step_ms in range(3)]

    assert [type(word) for word in words] == [Pending, Pending, EvidenceDue]


ROUNDS = st.lists(
    st.tuples(
        st.integers(0, 12_000),  # the pause before the round
        st.integers(0, 6_000),  # from its begin to the exchange's time
        st.integers(0, 9_000),  # from there to the moment the order is looked for
        st.integers(0, 9_000),  # from there to the answer's arrival
        st.booleans(),  # whether the answer arrives
    ),
    max_size=60,
)


@given(
    rounds=ROUNDS,
    accepted_ms=st.integers(OPENS_MS, FENCE_MS),
    hidden_ms=st.integers(0, NUMBERS.visibility_ms),
    position_fits=st.booleans(),
)
def test_an_order_that_was_accepted_is_never_proven_absent(
    rounds: list[tuple[int, int, int, int, bool]], accepted_ms: int, hidden_ms: int, position_fits: bool
) -> None:
    """Accepted at any moment up to the fence, visible at any moment up to `visibility_ms` later."""
    proof = fresh_proof()
    now_ms = OPENS_MS
    for pause_ms, to_time_ms, to_look_ms, back_ms, arrives in rounds:
        begun_ms = now_ms + pause_ms
        server_ms = begun_ms + to_time_ms
        looked_ms = server_ms + to_look_ms
        now_ms = looked_ms + back_ms
        if not arrives:
            proof.unanswered("no answer")
            continue
        if looked_ms >= accepted_ms + hidden_ms:
            proof.contradicted("the order is there")
            continue
        word = proof.absent(server_ms, now_ms - begun_ms)
        if isinstance(word, EvidenceDue):
            assert proof.judged(Evidence(position_fits=position_fits, stream_since_ms=0)) != Proven()


@given(
    latencies=st.lists(st.integers(0, 2_000), min_size=1, max_size=20),
    start_ms=st.integers(OPENS_MS, FENCE_MS + 200_000),
)
def test_an_order_that_never_arrived_is_proven_absent_in_good_time(
    latencies: list[int], start_ms: int
) -> None:
    proof = fresh_proof()
    now_ms = start_ms
    word: Pending | EvidenceDue = Pending(0, "")
    for round_number in range(200):
        took_ms = latencies[round_number % len(latencies)]
        word = proof.absent(now_ms, took_ms)
        now_ms += took_ms
        if isinstance(word, EvidenceDue):
            break
        now_ms += word.wait_ms

    assert isinstance(word, EvidenceDue)
    assert proof.judged(FITS) == Proven()
    assert now_ms <= max(start_ms, FENCE_MS) + NUMBERS.visibility_ms + 3 * (NUMBERS.spacing_ms + 2_000)


@given(server_times=st.lists(st.integers(OPENS_MS, FENCE_MS + 300_000), max_size=40))
def test_a_proof_rests_on_three_answers_that_span_the_visibility(server_times: list[int]) -> None:
    proof = fresh_proof()
    since_restart: list[int] = []
    for server_ms in server_times:
        if since_restart and server_ms < since_restart[-1]:
            since_restart = []
            newest_ms = server_ms
            assert isinstance(proof.absent(server_ms, 0), Pending)
            since_restart = [newest_ms]
            continue
        word = proof.absent(server_ms, 0)
        since_restart.append(server_ms)
        if isinstance(word, EvidenceDue):
            late = [at_ms for at_ms in since_restart if at_ms > FENCE_MS]
            assert len(late) >= 3
            assert max(late) - min(late) >= NUMBERS.visibility_ms
