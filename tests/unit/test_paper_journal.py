"""The simulated venue's journal: whatever a crash leaves of it opens to a state that was true once."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from rig.disk import small_disk
from rig.paper_orders import NOW_MS, RULES, USUAL, limit, one_price, prepared, venue, wanted

from adapters.paper.facts import Amended, Ended, Fact
from adapters.paper.journal_file import JOURNAL_BYTES_MAX, JournalError, JournalFile, JournalWriteError
from adapters.paper.trade_sim import TradeSim
from adapters.paper.venue import replay

D = Decimal
QUOTE = one_price("50000")
LIFE = {"partial_share": 0.5}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFile]:
    opened = JournalFile(tmp_path / "paper" / "orders.jsonl")
    yield opened
    opened.close()


def an_evening() -> list[Fact]:
    """Facts of each kind, in a true order."""
    sim, facts = venue(USUAL, **LIFE), []

    def happened(fact: object) -> None:
        assert isinstance(fact, Fact), fact
        sim.apply(fact)
        facts.append(fact)

    for number in range(4):
        order = prepared(sim, wanted(number, "sell" if number % 2 else "buy"), QUOTE)
        happened(sim.decide(order, QUOTE, NOW_MS + number))
    for number, price in ((10, "49000"), (11, "48000"), (12, "47000")):
        happened(sim.decide(prepared(sim, limit(number, "buy", price), QUOTE), QUOTE, NOW_MS))
    missed = prepared(sim, limit(13, "buy", "47000", tif="IOC"), QUOTE)
    happened(sim.decide(missed, QUOTE, NOW_MS))
    happened(sim.decide_amend(limit(11, "buy", "1").client_order_id, D(2), D(48500), NOW_MS))
    happened(sim.decide_cancel(limit(12, "buy", "1").client_order_id, NOW_MS))
    for fact in sim.decide_look("BTCUSDT", one_price("48700"), NOW_MS + 50):
        happened(fact)
    return facts


def state_of(sim: TradeSim) -> object:
    """Everything that can be asked of a venue."""
    orders = [(known.past(), known.fills(), known.works) for known in sim.orders.values()]
    positions = [
        (symbol, position.qty, position.cost, position.realised, position.fees)
        for symbol, position in sim.positions.items()
    ]
    return orders, positions, [known.number for known in sim.working("BTCUSDT")]


def after(facts: list[Fact]) -> object:
    sim = venue(USUAL, **LIFE)
    for fact in facts:
        sim.apply(fact)
    return state_of(sim)


def reopened(path: Path) -> TradeSim:
    journal, sim = JournalFile(path), venue(USUAL, **LIFE)
    try:
        replay(journal, journal.facts(), sim)
    finally:
        journal.close()
    return sim


def test_facts_of_each_kind_come_back_as_they_were(journal: JournalFile) -> None:
    facts = an_evening()
    assert {type(fact) for fact in facts} == set(get_args(Fact))
    for fact in facts:
        journal.append([fact])

    assert list(journal.facts()) == facts
    assert list(journal.read_again()) == facts
    journal.close()
    assert state_of(reopened(journal.path)) == after(facts)


def test_every_line_is_one_fact_with_exact_decimals(journal: JournalFile) -> None:
    facts = an_evening()
    journal.append(facts)

    lines = journal.path.read_bytes().splitlines()

    assert len(lines) == len(facts)
    assert all(line.startswith(b'{"fact":"') for line in lines)
    assert b'"price":"50005.0000"' in lines[0]
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_each_beginning_of_a_journal_opens_to_the_state_of_its_whole_lines(
    journal: JournalFile, tmp_path: Path
) -> None:
    facts = an_evening()
    journal.append(facts)
    data = journal.path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    near_ends = {end + shift for end in ends for shift in (-2, -1, 0, 1)}
    cuts = sorted(cut for cut in {0, *range(0, len(data), 61), *near_ends} if cut <= len(data))
    path = tmp_path / "cut.jsonl"

    for cut in cuts:
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)

        assert state_of(reopened(path)) == after(facts[:whole]), cut

        # The rest is gone, so that what comes next begins a line of its own.
        assert path.read_bytes() == data[: ends[whole - 1] if whole else 0]


def test_an_end_of_zeros_is_cut_off_like_any_other(journal: JournalFile) -> None:
    facts = an_evening()[:3]
    journal.append(facts)
    whole = journal.path.read_bytes()
    journal.close()
    journal.path.write_bytes(whole + b'{"fact":"pla' + bytes(500))

    assert state_of(reopened(journal.path)) == after(facts)
    assert journal.path.read_bytes() == whole


def test_what_is_written_after_a_cut_is_read_with_the_rest(journal: JournalFile) -> None:
    facts = an_evening()
    journal.append(facts[:2])
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"fact":"placed","number":3')

    second = JournalFile(journal.path)
    assert list(second.facts()) == facts[:2]
    second.append(facts[2:])
    second.close()

    assert state_of(reopened(journal.path)) == after(facts)


@pytest.mark.parametrize(
    "damage",
    [
        b"garbage\n",
        b"\n",
        b"{}\n",
        b'{"fact":"unheard"}\n',
        b'{"fact":"ended"}\n',
        b"\xff\xfe\n",
        b"[" * 5_000 + b"\n",
    ],
    ids=["garbage", "empty", "nothing", "unheard", "half", "no-text", "deep"],
)
def test_a_damaged_middle_is_refused_with_what_to_do(journal: JournalFile, damage: bytes) -> None:
    journal.append(an_evening()[:2])
    journal.close()
    first, second = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(first + damage + second)

    with pytest.raises(JournalError, match=r"line 2 .*put an undamaged copy in its place.*--output") as found:
        reopened(journal.path)

    assert found.value.kind == "configuration"
    assert journal.path.read_bytes() == first + damage + second


def test_a_line_that_contradicts_those_before_it_is_damage_too(journal: JournalFile) -> None:
    facts = an_evening()
    ended = next(fact for fact in facts if isinstance(fact, Ended))
    placed = facts[0]
    for untrue, why in (
        ([placed, placed], "a second time"),
        ([ended], "never taken"),
        ([placed, Amended(placed.order.client_order_id, NOW_MS, D(1), D(1))], "is filled"),
    ):
        path = journal.path.with_name(f"{why[:4]}.jsonl")
        written = JournalFile(path)
        written.append(untrue)
        written.close()

        with pytest.raises(JournalError, match=f"line {len(untrue)} .*{why}"):
            reopened(path)


def test_an_order_that_was_forgotten_is_still_no_second_one(journal: JournalFile) -> None:
    facts = an_evening()[:4]
    journal.append([*facts, facts[0]])

    with pytest.raises(JournalError, match=r"line 5 .*a second time"):
        replay(journal, journal.facts(), venue(USUAL, kept=1, rules=RULES))


def test_a_second_process_is_told_that_the_journal_is_taken(journal: JournalFile) -> None:
    with pytest.raises(JournalError, match=r"written by another process.*--output") as found:
        JournalFile(journal.path)

    assert found.value.kind == "unavailable"


def test_a_journal_that_cannot_be_opened_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "paper").write_text("a file where a folder should be")

    with pytest.raises(JournalError, match=r"paper/orders\.jsonl cannot be opened"):
        JournalFile(tmp_path / "paper" / "orders.jsonl")


def test_a_journal_that_is_too_long_to_be_read_is_refused(journal: JournalFile) -> None:
    os.truncate(journal.path, JOURNAL_BYTES_MAX + 1)

    with pytest.raises(JournalError, match="begin a new one"):
        list(journal.facts())


def test_what_does_not_fit_onto_the_disk_is_taken_back_whole(tmp_path: Path) -> None:
    facts = an_evening()
    with small_disk(tmp_path / "small", "64k") as disk:
        journal = JournalFile(disk.path / "orders.jsonl")
        journal.append(facts[:1])
        before = journal.path.read_bytes()
        ballast = disk.fill()
        # What is left of the first page takes some lines, and not all of them.
        many = facts[1:] * 20

        with pytest.raises(JournalWriteError, match="cannot be written") as found:
            journal.append(many)

        assert found.value.certain
        assert journal.path.read_bytes() == before
        assert journal.is_clean()
        ballast.unlink()
        journal.append(facts[1:])
        journal.close()
        assert state_of(reopened(journal.path)) == after(facts)


def test_a_disk_that_takes_nothing_back_leaves_a_doubt_until_it_does(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = an_evening()
    journal.append(facts[:1])

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(JournalWriteError) as found:
            journal.append(facts[1:2])
        assert not found.value.certain
        assert not journal.is_clean()
        with pytest.raises(JournalWriteError):
            journal.append(facts[1:2])

    assert journal.is_clean()
    assert list(journal.read_again()) == facts[:1]


def test_what_could_not_be_taken_back_yet_is_not_read_again(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "the disk fails")

    facts = an_evening()
    journal.append(facts[:3])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        patch.setattr(os, "ftruncate", fails)
        with pytest.raises(JournalWriteError) as failed:
            journal.append(facts[3:])

        assert not failed.value.certain
        assert list(journal.read_again()) == facts[:3]
