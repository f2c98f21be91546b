"""The judge of the paper drill: the venue's journal in the words that the exchange drill's judge knows.

What was accepted and filled is read from the journal's lines alone, and held against the feed's list, the
rows and the hourly lines; every price is held against the list of prices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from decimal import Decimal

from drill.judge import Fields, bounded, row_key
from drill_exchange.judge import Evidence, Verdict
from drill_exchange.judge import judge as judge_exchange
from paper_drill.prices import book_at

Entry = Fields


def venue_entries(facts: Sequence[Fields]) -> Iterator[Entry]:
    """What the venue accepted and filled, as an exchange would have written it down."""
    numbers: dict[str, int] = {}
    for fact in facts:
        if fact["fact"] == "placed":
            order = fact["order"]
            numbers[order["client_order_id"]] = fact["number"]
            yield {
                "kind": "accepted",
                "client_order_id": order["client_order_id"],
                "order_id": fact["number"],
                "symbol": order["symbol"],
                "side": order["side"].upper(),
                "now_ms": fact["at_ms"],
            }
        parts = fact.get("parts", ())
        name = fact["client_order_id"] if "client_order_id" in fact else fact["order"]["client_order_id"]
        for part in parts:
            yield {"kind": "fill", "client_order_id": name, **part}


def price_complaints(rows: Sequence[Fields]) -> Iterator[str]:
    """An order met the book of its signal's own moment: a buyer the ask, a seller the bid."""
    for row in rows:
        if row["state"] != "filled":
            continue
        bid, ask = book_at(row["symbol"], row["signal_ts_ms"])
        wanted = ask if row["side"] == "long" else bid
        if Decimal(row["price"]) != wanted:
            yield f"prices: {row_key(row)} was filled at {row['price']}, its book said {wanted}"


def judge(evidence: Evidence) -> Verdict:
    """The verdict on one drill; `evidence.journal` are the lines of the venue's journal."""
    verdict = judge_exchange(dataclasses.replace(evidence, journal=list(venue_entries(evidence.journal))))
    more = bounded(list(price_complaints(evidence.rows)))
    return dataclasses.replace(verdict, complaints=(*verdict.complaints, *more))
