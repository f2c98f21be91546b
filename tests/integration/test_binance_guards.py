"""What forbids a start: one sentence and one kind each, and nothing was placed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from rig.venue import KEY, Venue, settings_of, venue
from rig.virtual_clock import VirtualClock, in_virtual_time, virtual_clock

from adapters.binance.credentials import Credentials
from adapters.binance.transport import FirstMessage, HttpReply, HttpRequest, StreamClosed, WireResult
from adapters.contract import Guard, StartRefusal
from adapters.exchange.faults import FaultRule
from adapters.exchange.messages import Incoming
from adapters.exchange.terms import FUTURES_LIMITS, FUTURES_RULES, Key
from config.settings import Settings

LIVE = {"max_order_usd": 1_000, "max_orders_per_minute": 100, "max_position_usd": 10_000}
SPOT = {"name": "binance-spot"}


def checked(refusal: StartRefusal | None, v: Venue, kind: str, words: str) -> None:
    """One sentence of that kind, with what to do in it, and no order anywhere."""
    assert refusal is not None
    assert refusal.kind == kind, refusal.text
    assert re.search(words, refusal.text), refusal.text
    assert "\n" not in refusal.text
    assert not refusal.text.endswith(".")
    assert ": " in refusal.text
    for secret in ("loopback-key", "loopback-secret", "wrong-secret"):
        assert secret not in refusal.text
    assert v.sent() == 0
    assert v.accepted() == []


async def refused(
    kind: str, words: str, *, settings: Settings | None = None, plan: tuple[FaultRule, ...] = (), **given: Any
) -> None:
    async with venue(settings or settings_of(), started=False, **given) as v:
        v.plan(*plan)
        checked(await v.start(), v, kind, words)


@pytest.mark.parametrize("broker", [{}, SPOT], ids=["futures", "spot"])
@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (Credentials("other-key", "loopback-secret", KEY.origin), "give a key of this network"),
        (Credentials("loopback-key", "wrong-secret", KEY.origin), "give the secret that belongs to this key"),
    ],
    ids=["key", "secret"],
)
def test_a_wrong_key_or_secret(credentials: Credentials, words: str, broker: dict[str, Any]) -> None:
    @in_virtual_time
    async def run() -> None:
        await refused(
            "permission",
            f"the API key in the environment variable BINANCE_API_KEY .*{words}",
            settings=settings_of(broker=broker),
            credentials=credentials,
        )

    run()


@in_virtual_time
async def test_a_host_that_is_not_there() -> None:
    async with venue(started=False) as v:
        v.host.refusing = True
        begun_s = v.clock.monotonic_s()

        checked(await v.start(), v, "unavailable", "cannot be asked .*errno 111.*check the network")

        assert v.clock.monotonic_s() - begun_s < 30


@in_virtual_time
async def test_a_host_that_is_silent_is_not_waited_for_without_end() -> None:
    async with venue(started=False) as v:
        v.plan(FaultRule(kind="silence_before", endpoint="any", executed=False))
        begun_s = v.clock.monotonic_s()

        checked(await v.start(), v, "unavailable", "cannot be asked")

        assert v.clock.monotonic_s() - begun_s < 120


@in_virtual_time
async def test_another_program_on_the_host() -> None:
    await refused(
        "unavailable",
        "cannot be asked .*without a time",
        plan=(FaultRule(kind="html_500", endpoint="any", executed=False),),
    )


@in_virtual_time
async def test_rules_that_nobody_can_read() -> None:
    await refused(
        "unavailable",
        "no usable answer to the question for its rules .*check broker.name",
        plan=(FaultRule(kind="garbage", endpoint="exchange_info", executed=False),),
    )


@pytest.mark.parametrize("skew_ms", [-3_600_000, -6_000, 6_000, 86_400_000])
def test_a_clock_that_is_far_off(skew_ms: int) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue(started=False) as v:
            v.clock.skew_ms = skew_ms
            side = "behind" if skew_ms < 0 else "ahead of"

            checked(await v.start(), v, "configuration", f"clock of this host is .* s {side} .*timedatectl")

    run()


@pytest.mark.parametrize("skew_ms", [-4_900, 4_900])
def test_a_clock_that_is_a_little_off_is_lived_with(skew_ms: int) -> None:
    @in_virtual_time
    async def run() -> None:
        async with venue(started=False) as v:
            v.clock.skew_ms = skew_ms

            assert await v.start() is None

            assert abs(v.adapter.clock_offset_ms + skew_ms) <= 20

    run()


@pytest.mark.parametrize("broker", [{}, SPOT], ids=["futures", "spot"])
def test_a_symbol_that_does_not_exist(broker: dict[str, Any]) -> None:
    @in_virtual_time
    async def run() -> None:
        settings = settings_of(broker=broker, symbols=["BTCUSDT", "NOSUCHUSDT"])
        await refused("configuration", "NOSUCHUSDT.*take it out of execution.symbols", settings=settings)

    run()


@in_virtual_time
async def test_a_symbol_that_does_not_trade() -> None:
    rules = tuple(
        msgspec.structs.replace(one, status="SETTLING") if one.symbol == "ETHUSDT" else one
        for one in FUTURES_RULES
    )
    await refused("configuration", "ETHUSDT is SETTLING .* must be TRADING", rules=rules)


@in_virtual_time
async def test_an_account_in_hedge_mode() -> None:
    async with venue(started=False) as v:
        await v.hedge()

        checked(await v.start(), v, "configuration", "hedge mode, must be in one-way mode")


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ({"may_withdraw": True}, "may withdraw, must not: disable withdrawals"),
        ({"may_trade": False}, "may not trade on 127.0.0.1:8080"),
    ],
)
@pytest.mark.parametrize("broker", [{}, SPOT], ids=["futures", "spot"])
def test_live_wants_a_key_that_may_trade_and_nothing_worse(
    rights: dict[str, bool], words: str, broker: dict[str, Any]
) -> None:
    @in_virtual_time
    async def run() -> None:
        keys = {"loopback-key": Key("loopback-secret", **rights)}
        settings = settings_of("live", broker, risk=LIVE)
        await refused("permission", words, settings=settings, keys=keys)

    run()


@pytest.mark.parametrize("broker", [{}, SPOT], ids=["futures", "spot"])
def test_withdrawals_endanger_nothing_where_the_money_is_not_real(broker: dict[str, Any]) -> None:
    @in_virtual_time
    async def run() -> None:
        keys = {"loopback-key": Key("loopback-secret", may_withdraw=True)}
        async with venue(settings_of(broker=broker), keys=keys) as v:
            assert v.adapter.denied is None

    run()


@pytest.mark.parametrize("broker", [{}, SPOT], ids=["futures", "spot"])
def test_a_key_that_may_only_read_is_found_out_without_an_order(broker: dict[str, Any]) -> None:
    @in_virtual_time
    async def run() -> None:
        keys = {"loopback-key": Key("loopback-secret", may_trade=False)}
        words = "may not trade on 127.0.0.1:8080: enable trading"
        await refused("permission", words, settings=settings_of(broker=broker), keys=keys)

    run()


@in_virtual_time
async def test_a_host_that_rehearses_no_orders_is_no_obstacle() -> None:
    async with venue(started=False) as v:
        v.plan(FaultRule(kind="answer", endpoint="test_order", status=404, text="no such path"))

        assert await v.start() is None


@in_virtual_time
async def test_a_page_for_people_is_no_exchange() -> None:
    plan = (FaultRule(kind="answer", endpoint="time", status=404, text="no such page", executed=False),)
    await refused("unavailable", "does not tell the time .*check broker.name", plan=plan)


@in_virtual_time
async def test_live_begins_with_a_good_key() -> None:
    async with venue(settings_of("live", risk=LIVE)) as v:
        assert v.sent("GET", "apiRestrictions") == 1
        assert v.adapter.wait_for("BTCUSDT") is None


@in_virtual_time
async def test_live_does_not_begin_while_nobody_tells_what_the_key_may() -> None:
    plan = (FaultRule(kind="timeout_1007", endpoint="api_restrictions", executed=False),)
    await refused(
        "unavailable",
        "does not say whether the API key may withdraw",
        settings=settings_of("live", risk=LIVE),
        plan=plan,
    )


@in_virtual_time
async def test_a_practice_host_need_not_know_the_rights_of_a_key() -> None:
    async with venue(settings_of("live", risk=LIVE), started=False) as v:
        v.plan(FaultRule(kind="answer", endpoint="api_restrictions", status=404, code=-5000, executed=False))

        assert await v.start() is None


@in_virtual_time
async def test_a_ban_that_outlasts_patience_ends_the_start_with_how_long() -> None:
    plan = (FaultRule(kind="http_418", endpoint="any", delay_ms=7_200_000, executed=False),)
    await refused("unavailable", r"refuses all requests of this host for another 7\d\d\d s", plan=plan)


@in_virtual_time
async def test_a_kept_ban_is_not_tried() -> None:
    async with venue(started=False) as v:
        v.view.kept_values["venue_deadline_ms"] = str(v.clock.wall_ms() + 600_000)

        checked(await v.start(), v, "unavailable", r"refuses all requests .* for another 60\d s")

        assert v.transport.requests == []


@in_virtual_time
async def test_lost_replies_alone_do_not_forbid_a_start() -> None:
    for seed in range(20):
        async with venue(started=False, seed=seed) as v:
            lossy = FaultRule(kind="reset_after", endpoint="any", probability=0.3)
            v.plan(lossy)

            assert await v.start() is None


@in_virtual_time
async def test_a_minute_that_former_runs_have_used_up_is_waited_out() -> None:
    async with venue(started=False) as v:
        question = Incoming("GET", "/fapi/v1/time", "", b"", {}, "127.0.0.1")
        for _ in range(FUTURES_LIMITS.weight_per_minute - 2):
            v.exchange.handle(question, v.host.now_ms())
        begun_s = v.clock.monotonic_s()

        assert await v.start() is None

        assert 3 < v.clock.monotonic_s() - begun_s < 65


class Elsewhere:
    """A host that tells the time and the rights of a key, and nothing else."""

    def __init__(self, clock: VirtualClock, body: bytes) -> None:
        self._clock = clock
        self._body = body
        self.paths: list[str] = []
        self.closed = False

    async def request(
        self, request: HttpRequest, *, timeout_s: float, guard: Guard | None = None
    ) -> WireResult:
        """The time, or the rights."""
        assert guard is None or guard() is None
        self.paths.append(request.path)
        time = b'{"serverTime":%d}' % self._clock.wall_ms()
        return HttpReply(200, {}, time if request.path.endswith("/time") else self._body)

    async def stream(
        self,
        path: str,
        opened: Callable[[], None] | None = None,
        *,
        first: FirstMessage | None = None,
    ) -> AsyncIterator[bytes | StreamClosed]:
        """None."""
        yield StreamClosed("no stream here")

    async def close(self) -> None:
        """Noted."""
        self.closed = True


@pytest.mark.parametrize(
    ("withdrawals", "futures", "kind"),
    [("false", "true", None), ("true", "true", "permission"), ("false", "false", "permission")],
)
def test_the_futures_key_is_asked_about_at_the_neighbour_that_knows(
    withdrawals: str, futures: str, kind: str | None
) -> None:
    body = f'{{"enableReading":true,"enableWithdrawals":{withdrawals},"enableFutures":{futures}}}'.encode()

    @in_virtual_time
    async def run() -> None:
        settings = settings_of("live", {"rest_url": None}, risk=LIVE)
        elsewhere = Elsewhere(virtual_clock(), body)
        async with venue(settings, started=False, neighbour=elsewhere) as v:
            refusal = await v.start()

            assert (None if refusal is None else refusal.kind) == kind, refusal
            assert elsewhere.paths == ["/api/v3/time"] * 5 + ["/sapi/v1/account/apiRestrictions"]
            assert elsewhere.closed
            assert v.sent("GET", "apiRestrictions") == 0

    run()
