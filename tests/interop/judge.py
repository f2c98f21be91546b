"""Who is right about an order, the client that placed it or the exchange's journal: the journal decides.

Pure. A disagreement is a sentence; no sentence means that both tell the same story.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Entry = Mapping[str, Any]
ENDINGS = {"canceled": "CANCELED", "expired": "EXPIRED"}


class Story:
    """One order as the journal tells it."""

    def __init__(self, accepted: Entry) -> None:
        self.accepted = accepted
        self.fills: list[Entry] = []
        self.ending: str | None = None

    @property
    def filled(self) -> Decimal:
        """What has traded."""
        return sum((Decimal(one["qty"]) for one in self.fills), Decimal(0))

    @property
    def state(self) -> str:
        """The status in the exchange's own words."""
        if self.ending is not None:
            return self.ending
        if self.filled == Decimal(self.accepted["qty"]):
            return "FILLED"
        return "PARTIALLY_FILLED" if self.filled else "NEW"


def stories(journal: Iterable[Entry]) -> dict[str, list[Story]]:
    """The journal's orders by client order id, in the order of their acceptance."""
    by_order: dict[str, Story] = {}
    by_name: defaultdict[str, list[Story]] = defaultdict(list)
    for entry in journal:
        number = str(entry.get("order_id"))
        if entry["kind"] == "accepted":
            by_order[number] = Story(entry)
            by_name[entry["client_order_id"]].append(by_order[number])
        elif number in by_order and entry["kind"] == "fill":
            by_order[number].fills.append(entry)
        elif number in by_order and entry["kind"] in ENDINGS:
            by_order[number].ending = ENDINGS[entry["kind"]]
    return dict(by_name)


def strays(journal: Sequence[Entry]) -> list[str]:
    """Orders that fill or end although the journal never says that they were accepted."""
    accepted = {one["order_id"] for one in journal if one["kind"] == "accepted"}
    return [
        f"order {one['order_id']}: {one['kind']}, and never accepted"
        for one in journal
        if one["kind"] in ("fill", *ENDINGS) and one["order_id"] not in accepted
    ]


def disagreements(belief: Mapping[str, Any], journal: Sequence[Entry], prefix: str) -> list[str]:
    """Every point in which what the client believes is not what happened."""
    told = {name: found for name, found in stories(journal).items() if name.startswith(prefix)}
    found = strays(journal)
    for name, order in belief["orders"].items():
        found += _order_disagreements(name, order, told.get(name, []))
    for name in belief["refused"]:
        if name in told:
            found.append(f"{name}: the client believes it was refused, the journal has it accepted")
    for name in told.keys() - belief["orders"].keys() - set(belief["refused"]):
        found.append(f"{name}: accepted, and the client knows nothing of it")
    return found + _fill_disagreements(belief["fills"], told)


def _order_disagreements(name: str, order: Mapping[str, str], told: list[Story]) -> list[str]:
    if len(told) != 1:
        return [f"{name}: accepted {len(told)} times, the client believes once"]
    story = told[0]
    accepted = story.accepted
    pairs = {
        "order id": (order["order_id"], str(accepted["order_id"])),
        "symbol": (order["symbol"], accepted["symbol"]),
        "side": (order["side"], accepted["side"]),
        "type": (order["type"], accepted["type"]),
        "price": (Decimal(order["price"]), Decimal(accepted["price"] or 0)),
        "state": (order["state"], story.state),
        "filled": (Decimal(order["filled"]), story.filled),
    }
    return [
        f"{name}: {what} is {believed} for the client, {happened} in the journal"
        for what, (believed, happened) in pairs.items()
        if believed != happened
    ]


def _fill_disagreements(believed: Iterable[Mapping[str, str]], told: Mapping[str, list[Story]]) -> list[str]:
    happened = {
        str(fill["trade_id"]): (str(fill["order_id"]), Decimal(fill["qty"]), Decimal(fill["price"]))
        for each in told.values()
        for story in each
        for fill in story.fills
    }
    # The account is shared: other clients' trades are listed as well, and are theirs to explain.
    seen = {
        fill["trade_id"]: (fill["order_id"], Decimal(fill["qty"]), Decimal(fill["price"]))
        for fill in believed
    }
    return [
        f"trade {number}: {seen.get(number, 'unknown')} for the client, {facts} in the journal"
        for number, facts in happened.items()
        if seen.get(number) != facts
    ]
