"""Which orders are of interest, what is told of them and when, and that memory stays flat."""

from __future__ import annotations

from decimal import Decimal

from adapters.binance.facts import OrderFact, TradeFact
from adapters.binance.followed import REMEMBERED_MAX, Followed, Watch
from adapters.contract import Order

ONE = Decimal(1)


def order(name: str) -> Order:
    return Order(f"ew1-{name}", "BTCUSDT", "buy", "market", "GTC", ONE, None, name)


def watch(name: str) -> Watch:
    return Watch(order(name), since_ms=0, due_s=0.0)


def fact(name: str, order_id: int, status: str, executed: int = 0, symbol: str = "BTCUSDT") -> OrderFact:
    return OrderFact(name, order_id, symbol, "BUY", "MARKET", ONE, None, status, Decimal(executed))


def trade(order_id: int, trade_id: int = 1) -> TradeFact:
    return TradeFact(trade_id, order_id, ONE, Decimal(100), Decimal("0.1"), "USDT")


def test_a_foreign_order_is_of_no_interest() -> None:
    followed = Followed("ew1-")

    news = followed.hear(fact("by-hand", 1, "FILLED", 1), trade(1))

    assert news is False
    assert followed.take_updates() == []
    assert followed.sighted("by-hand") == []


def test_a_watched_order_is_followed_until_it_is_final() -> None:
    followed = Followed("ew1-")
    followed.watch(watch("a"))

    followed.hear(fact("ew1-a", 1, "NEW"))
    during = len(followed.watches)
    followed.hear(fact("ew1-a", 1, "FILLED", 1), trade(1))

    assert (during, len(followed.watches)) == (1, 0)
    assert [update.state for update in followed.take_updates()] == ["filled"]


def test_an_order_without_its_trades_stays_watched_and_is_known_to_lack_them() -> None:
    followed = Followed("ew1-")
    followed.watch(watch("a"))

    followed.hear(fact("ew1-a", 1, "FILLED", 1))
    lacking = [tracker.order_id for tracker in followed.lacking_trades()]
    watched = len(followed.watches)
    followed.hear_trades("BTCUSDT", [trade(1)])

    assert (lacking, watched) == ([1], 1)
    assert (followed.lacking_trades(), followed.watches) == ([], ())


def test_an_unwatched_order_of_ours_can_lack_trades_as_well() -> None:
    followed = Followed("ew1-")

    followed.hear(fact("ew1-b", 2, "FILLED", 1))

    assert [tracker.order_id for tracker in followed.lacking_trades()] == [2]


def test_order_numbers_of_different_symbols_are_different_orders() -> None:
    followed = Followed("ew1-")
    followed.hear(fact("ew1-a", 1, "FILLED", 1))
    followed.hear(fact("ew1-b", 1, "FILLED", 1, symbol="ETHUSDT"))

    followed.hear_trades("ETHUSDT", [trade(1)])

    states = {update.client_order_id: update.state for update in followed.take_updates()}
    assert states == {"ew1-a": "open", "ew1-b": "filled"}


def test_trades_of_orders_that_nobody_heard_of_are_nobodys() -> None:
    followed = Followed("ew1-")

    news = followed.hear_trades("BTCUSDT", [trade(9)])

    assert news is False


def test_a_watch_stays_while_a_second_order_under_the_same_id_works() -> None:
    followed = Followed("ew1-")
    followed.watch(watch("a"))
    followed.hear(fact("ew1-a", 1, "NEW"))
    followed.hear(fact("ew1-a", 2, "NEW"))

    followed.hear(fact("ew1-a", 2, "CANCELED"))
    during = len(followed.watches)
    followed.hear(fact("ew1-a", 1, "CANCELED"))

    assert (during, len(followed.watches)) == (1, 0)


def test_updates_come_in_the_order_of_their_latest_news() -> None:
    followed = Followed("ew1-")
    followed.hear(fact("ew1-a", 1, "NEW"))
    followed.hear(fact("ew1-b", 2, "NEW"))
    followed.hear(fact("ew1-a", 1, "CANCELED"))

    updates = followed.take_updates()

    assert [update.client_order_id for update in updates] == ["ew1-b", "ew1-a"]
    assert followed.take_updates() == []


def test_memory_stays_flat_and_what_is_watched_stays() -> None:
    followed = Followed("ew1-")
    followed.watch(watch("kept"))
    followed.hear(fact("ew1-kept", 1, "NEW"))

    for number in range(2, REMEMBERED_MAX + 100):
        followed.hear(fact(f"ew1-{number}", number, "FILLED", 1))
    followed.take_updates()

    assert len(followed.sighted("ew1-kept")) == 1
    assert followed.sighted("ew1-2") == []
    assert len(followed.lacking_trades()) == REMEMBERED_MAX - 1
