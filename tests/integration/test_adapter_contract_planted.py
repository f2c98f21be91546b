"""The contract suite on trial itself: each promise is broken on purpose, and that is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from rig.adapters import STANDS, stand
from rig.planted import (
    AnswersBeforeItSends,
    AsksNobody,
    AsksTooLate,
    Bad,
    CallsDoubtRejected,
    ChangesAnything,
    CutsPrices,
    Denies,
    FillsTooMuch,
    Floats,
    GuessesAbsence,
    GuessesPresence,
    LiftsToTheMinimum,
    LooksAway,
    LooksBySending,
    MakesUpPrices,
    Nameless,
    NeverKnows,
    NeverTooLate,
    Numbers,
    OneSize,
    ReplacesInstead,
    Resizes,
    RoundsUp,
    SaysNoMore,
    SendsTwice,
    TakesAnyPrice,
    TriesAgain,
    later,
)
from rig.planted_fates import (
    AmendsByPlacing,
    BeginsWithAnOrder,
    CancelsAll,
    ForgetsParts,
    ForgetsTheDone,
    Free,
    GoesByAnotherName,
    Hangs,
    HidesWhatWorks,
    LetsRest,
    ListensForEver,
    LosesTrades,
    MixesAnswersUp,
    NeverTells,
    OneAtATime,
    PaysMore,
    PretendsToCancel,
    RemembersAll,
    SendsOn,
    TakesAtOnce,
    TakesWhatIsThere,
    TellsPieces,
    TellsTheEndAlone,
    Unsigned,
)
from rig.promise import Promise
from rig.promises import filling, lanes, overlapping, preparing, restarting, resting, submitting
from rig.suite import PROMISES
from rig.virtual_clock import in_virtual_time

# Who breaks which promise.
BREACHES: dict[Promise, Sequence[type[Bad]]] = {
    preparing.preparing_is_pure_and_keeps_the_identity_of_the_signal: [Numbers],
    preparing.a_prepared_order_survives_the_row_to_the_last_digit: [Floats],
    preparing.a_renewed_order_is_the_same_order_with_another_window: [Resizes],
    preparing.a_quantity_is_never_rounded_up: [RoundsUp],
    preparing.the_size_that_is_asked_for_decides_the_quantity_and_is_never_exceeded: [OneSize, RoundsUp],
    preparing.a_limit_price_goes_to_the_nearest_tick_and_what_was_rounded_is_told: [CutsPrices],
    preparing.what_the_rules_do_not_allow_is_refused_with_a_code_and_a_sentence: [
        LiftsToTheMinimum,
        SaysNoMore,
    ],
    preparing.a_price_that_is_none_never_gets_into_an_order: [TakesAnyPrice],
    submitting.an_adapter_has_everything_that_the_contract_names: [Nameless],
    submitting.every_answer_is_one_of_the_four_and_legal_for_a_reserved_row: [
        FillsTooMuch,
        AnswersBeforeItSends,
    ],
    submitting.the_guard_is_asked_before_the_order_is_accepted_and_has_the_last_word: [
        AsksNobody,
        AsksTooLate,
    ],
    submitting.an_order_whose_window_has_passed_is_not_sent_until_it_has_another: [NeverTooLate],
    submitting.an_order_is_accepted_once_and_is_on_record: [Denies, SendsTwice],
    submitting.asking_about_what_was_never_sent_proves_its_absence_and_places_nothing: [
        GuessesPresence,
        NeverKnows,
        LooksBySending,
    ],
    submitting.a_lost_answer_is_unknown_and_asking_ends_in_the_truth: [
        CallsDoubtRejected,
        TriesAgain,
        GuessesAbsence,
        GuessesPresence,
    ],
    submitting.a_found_order_is_followed_to_its_end: [NeverTells],
    submitting.the_other_questions_may_be_repeated_and_never_raise: [ChangesAnything],
    filling.an_order_that_fills_at_once_is_told_to_its_end: [NeverTells],
    filling.partial_fills_are_told_one_by_one_and_add_up: [TellsPieces, TellsTheEndAlone, LosesTrades],
    filling.whoever_is_to_watch_an_order_again_is_told_again: [LooksAway],
    filling.position_trades_and_updates_agree: [LosesTrades, Unsigned],
    filling.a_market_order_fills_at_what_the_book_asks_and_its_fee_is_told: [Free],
    resting.a_limit_order_away_from_the_book_rests: [TakesAtOnce, HidesWhatWorks],
    resting.a_canceled_order_works_no_longer_and_that_is_told: [PretendsToCancel, CancelsAll],
    resting.canceling_what_is_filled_or_unknown_changes_nothing: [CancelsAll],
    resting.an_order_that_is_canceled_in_the_middle_keeps_what_was_filled: [ForgetsParts],
    resting.cancel_and_amend_at_once_leave_an_order_that_does_not_work: [AmendsByPlacing, PretendsToCancel],
    resting.an_amended_order_rests_under_its_new_terms: [ChangesAnything, ReplacesInstead],
    resting.what_is_not_known_or_has_ended_cannot_be_amended: [ChangesAnything],
    resting.a_resting_order_fills_when_the_market_reaches_it_and_not_before: [NeverTells, TakesAtOnce],
    resting.a_limit_order_that_crosses_fills_at_its_limit_or_better: [PaysMore],
    resting.an_order_for_at_once_that_does_not_cross_ends_without_a_fill: [LetsRest, TakesAtOnce],
    restarting.past_orders_are_those_since_the_moment_that_is_asked_for: [RemembersAll],
    restarting.a_new_life_tells_again_of_what_it_is_to_watch: [LooksAway],
    overlapping.orders_of_different_symbols_overlap_and_do_not_disturb_each_other: [
        OneAtATime,
        MixesAnswersUp,
    ],
    overlapping.a_call_that_is_cut_short_leaves_venue_and_lookup_of_one_mind: [GuessesAbsence, SendsOn],
    overlapping.closing_ends_the_updates_and_may_be_repeated: [ListensForEver],
    overlapping.questions_after_the_end_do_not_hang: [Hangs, ListensForEver],
    lanes.the_same_lane_comes_to_one_row_for_each_signal_and_duplicates_change_nothing: [
        SendsTwice,
        GoesByAnotherName,
    ],
    lanes.a_worker_that_is_stopped_anywhere_goes_on_to_one_order_for_each_signal: [GuessesAbsence],
    lanes.answers_that_get_lost_leave_one_order_or_a_reason: [GuessesAbsence, CallsDoubtRejected],
    lanes.a_whole_worker_comes_to_the_truth_behind_lost_answers_and_partial_fills: [
        GuessesAbsence,
        NeverTells,
    ],
    lanes.a_whole_worker_brings_every_row_to_its_end_with_what_was_filled: [LosesTrades],
    restarting.a_new_life_finds_working_orders_positions_and_past_orders: [
        later(HidesWhatWorks),
        later(ForgetsTheDone),
        later(LosesTrades),
    ],
    restarting.a_new_life_knows_what_became_of_every_order: [later(GuessesAbsence), later(GuessesPresence)],
    restarting.a_new_life_finds_out_what_a_lost_answer_hid: [later(GuessesAbsence), later(GuessesPresence)],
    restarting.a_new_life_goes_on_where_the_former_one_ended: [later(BeginsWithAnOrder)],
    preparing.without_a_price_in_the_signal_there_is_no_order: [MakesUpPrices],
    submitting.an_order_that_comes_again_under_its_id_is_no_second_order: [CallsDoubtRejected],
    resting.of_a_shallow_book_one_takes_what_is_there_and_the_other_all_or_nothing: [TakesWhatIsThere],
}
# Paper knows nearly everything and is quick; these are tried where what they speak of is known.
ELSEWHERE = {
    submitting.an_order_whose_window_has_passed_is_not_sent_until_it_has_another: "binance-futures",
    resting.an_order_that_is_canceled_in_the_middle_keeps_what_was_filled: "binance-futures",
    lanes.a_whole_worker_comes_to_the_truth_behind_lost_answers_and_partial_fills: "binance-futures",
    preparing.without_a_price_in_the_signal_there_is_no_order: "paper_by_signal",
    submitting.an_order_that_comes_again_under_its_id_is_no_second_order: "binance-futures",
    resting.of_a_shallow_book_one_takes_what_is_there_and_the_other_all_or_nothing: "binance-futures",
    lanes.a_worker_that_is_stopped_anywhere_goes_on_to_one_order_for_each_signal: "binance-futures",
    lanes.answers_that_get_lost_leave_one_order_or_a_reason: "scripted",
}
TRIALS = [
    pytest.param(promise, bad, id=f"{bad.__name__}-{promise.name}")
    for promise, breaches in BREACHES.items()
    for bad in breaches
]


@pytest.mark.parametrize(("promise", "bad"), TRIALS)
@in_virtual_time
async def test_a_broken_promise_is_noticed(tmp_path: Path, promise: Promise, bad: type[Bad]) -> None:
    name = ELSEWHERE.get(promise, "paper")
    noticed = []

    for setup in promise.setups(STANDS[name].traits):
        async with stand(name, tmp_path / str(setup.loss), setup, bad) as made:
            try:
                await promise.keep(made)
            except AssertionError as error:
                noticed.append(error)
                break

    assert noticed


def test_every_promise_is_broken_by_somebody() -> None:
    assert [promise.name for promise in PROMISES if promise not in BREACHES] == []
