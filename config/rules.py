"""Rules between settings: what each value alone cannot say.

Pure. Each rule is asked only when the values it looks at are valid by themselves, so that one
mistake is reported once.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from config.names import leaves, shown
from config.notify_rules import NOTIFY_ENV_KEYS, notify_problems
from config.settings import Mode, PriceSource, Settings

LIVE_CONFIRM = "LIVE_CONFIRM"

# Each symbol is a lane with its own buffers and watches: some 100 KiB and two descriptors.
SYMBOLS_MAX = 1_000

BROKERS = ("binance-futures", "binance-spot")

ABSENCE_KEYS = (
    "broker.recv_window_ms",
    "broker.absence_margin_ms",
    "broker.visibility_ms",
    "broker.absence_spacing_ms",
)

RISK_KEYS = (
    "execution.risk.max_order_usd",
    "execution.risk.max_orders_per_minute",
    "execution.risk.max_position_usd",
)

ORDERED_KEYS = (
    ("execution.precheck.consistency_min", "execution.precheck.consistency_full"),
    ("execution.throttle.denied_share_low", "execution.throttle.denied_share_high"),
    ("execution.throttle.qps_min", "execution.throttle.qps_max"),
)

# Spelled out rather than parsed: what two URL parsers read differently never gets here.
_URL = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>localhost|[0-9.]+|\[::1\])(:(?P<port>[0-9]{1,5}))?/?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_TIMEOUT = re.compile(r"[A-Z0-9]{2,20}=(0|1|0?\.[0-9]{1,6}|1\.0{1,6})")
_CAPITAL = re.compile(r"[A-Z_]")


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold; `keys` are what it compared, the first one is the one to mend."""

    keys: tuple[str, ...]
    sentence: str


Rule = Callable[[Settings, Mapping[str, str]], Iterator[Broken]]


def value_of(settings: Settings, key: str) -> object:
    """The value of a dotted key."""
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def broken_rules(settings: Settings, environ: Mapping[str, str]) -> Iterator[Broken]:
    """Every rule that does not hold, in a fixed order."""
    for rule in _RULES:
        yield from rule(settings, environ)


def unenforced(settings: Settings) -> list[str]:
    """The safeguards that are set and that no order passes in this mode: dry_run sends none."""
    if settings.execution.mode is not Mode.DRY_RUN:
        return []
    return [key for key in RISK_KEYS if value_of(settings, key) is not None]


def _symbols(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    keys = ("execution.symbols",)
    symbols = settings.execution.symbols
    if not symbols:
        yield Broken(keys, "execution.symbols is empty, must name at least one symbol")
    if len(symbols) > SYMBOLS_MAX:
        yield Broken(keys, f"execution.symbols names {len(symbols)} symbols, must be at most {SYMBOLS_MAX}")
    twice = [symbol for symbol, count in Counter(symbols).items() if count > 1]
    if twice:
        yield Broken(
            keys, f"execution.symbols names {', '.join(twice[:3])} twice, must name each symbol once"
        )


def _thresholds(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    keys = ("execution.business.long_score_threshold", "execution.business.short_score_threshold")
    long, short = (
        settings.execution.business.long_score_threshold,
        settings.execution.business.short_score_threshold,
    )
    if long <= short:
        yield Broken(keys, f"{keys[0]} is {shown(long)}, must be above {keys[1]}, which is {shown(short)}")


def _unlimited(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    mode = settings.execution.mode
    if settings.execution.rate_limit.max_qps is None and mode.touches_exchange:
        keys = ("execution.rate_limit.max_qps", "execution.mode")
        yield Broken(
            keys,
            f"{keys[0]} is null, must be a number in mode {mode.value}: only dry_run and paper go unlimited",
        )


def _testnet(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    mode, testnet = settings.execution.mode, settings.broker.testnet
    # In dry_run and paper no order reaches either net, so there is nothing to disagree about.
    if testnet is None or not mode.touches_exchange or testnet == (mode is Mode.TESTNET):
        return
    yield Broken(
        ("broker.testnet", "execution.mode"),
        f"broker.testnet is {shown(testnet)} while execution.mode is {mode.value}: "
        f"remove broker.testnet, or change the mode",
    )


def _venue(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    # Files shared with other services name their own venue; it matters where orders leave.
    if settings.execution.mode.touches_exchange and settings.broker.name not in BROKERS:
        keys = ("broker.name", "execution.mode")
        yield Broken(keys, f"broker.name is {shown(settings.broker.name)}, must be {' or '.join(BROKERS)}")


def _live(settings: Settings, environ: Mapping[str, str]) -> Iterator[Broken]:
    if settings.execution.mode is not Mode.LIVE:
        return
    if environ.get(LIVE_CONFIRM) != "YES":
        yield Broken(
            ("execution.mode",),
            f"execution.mode is live, which trades real money: set {LIVE_CONFIRM}=YES in the environment",
        )
    for key in RISK_KEYS:
        if value_of(settings, key) is None:
            yield Broken((key, "execution.mode"), f"{key} is null, must be a number in mode live")


def _urls(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    http, socket = ("http", "https"), ("ws", "wss")
    for key, schemes in (
        ("broker.rest_url", http),
        ("broker.stream_url", socket),
        ("execution.shadow.rest_url", http),
        ("execution.shadow.stream_url", socket),
    ):
        url = value_of(settings, key)
        if isinstance(url, str) and not is_loopback(url, schemes):
            example = f"{schemes[0]}://127.0.0.1:8080"
            text = "has a user or a password in it" if "@" in url else f"is {shown(url)}"
            yield Broken((key,), f"{key} {text}, must be a bare loopback address such as {example}")


def is_loopback(url: str, schemes: tuple[str, ...]) -> bool:
    """True for `scheme://loopback[:port]` and nothing else: no user, no path, no query."""
    match = _URL.fullmatch(url)
    if match is None or match["scheme"] not in schemes or int(match["port"] or 1) not in range(1, 65_536):
        return False
    try:
        return match["host"] == "localhost" or ipaddress.ip_address(match["host"].strip("[]")).is_loopback
    except ValueError:
        return False


def _absence(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    # A URL of another host is refused by itself, and need not be complained of four times more.
    if settings.broker.rest_url is not None:
        return
    for key in ABSENCE_KEYS:
        value, default = value_of(settings, key), leaves()[key].default
        assert isinstance(value, int)
        assert isinstance(default, int)
        if value < default:
            yield Broken(
                (key, "broker.rest_url"),
                f"{key} is {value}, must be at least {default} unless broker.rest_url points to loopback",
            )


def _credential_names(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    for key in (
        "broker.api_key_env",
        "broker.secret_env",
        "execution.shadow.api_key_env",
        "execution.shadow.secret_env",
        *NOTIFY_ENV_KEYS,
    ):
        name = str(value_of(settings, key))
        # A pasted key has 64 mixed characters; its value must not come back in the sentence.
        if not _VARIABLE_NAME.fullmatch(name) or not _CAPITAL.search(name) or name.upper() != name:
            yield Broken(
                (key,),
                f"{key} must be the name of an environment variable in capitals, such as "
                f"{leaves()[key].default}, never the credential itself",
            )


def _ordered(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    """Bounds of a pair that would leave nothing between them."""
    for low_key, high_key in ORDERED_KEYS:
        low, high = value_of(settings, low_key), value_of(settings, high_key)
        assert isinstance(low, float)
        if isinstance(high, float) and low > high:
            sentence = f"{low_key} is {shown(low)}, must be at most {high_key}, which is {shown(high)}"
            yield Broken((low_key, high_key), sentence)


def _paper(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    paper = settings.execution.paper
    if paper.prices is PriceSource.FILE and paper.price_file is None:
        keys = ("execution.paper.price_file", "execution.paper.prices")
        yield Broken(keys, f"{keys[0]} is null, must name a file while {keys[1]} is file")
    for text in paper.timeouts:
        if not _TIMEOUT.fullmatch(text):
            key = "execution.paper.timeouts"
            yield Broken((key,), f"{key} holds {shown(text)}, must be SYMBOL=SHARE such as BTCUSDT=0.01")


def _shadow(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    shadow = settings.execution.shadow
    if shadow.enabled and shadow.name not in BROKERS:
        key = "execution.shadow.name"
        yield Broken((key,), f"{key} is {shown(shadow.name)}, must be {' or '.join(BROKERS)}")


def _notify(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    for key, sentence in notify_problems(settings.execution.notify):
        yield Broken((key,), sentence)


def _control(settings: Settings, _: Mapping[str, str]) -> Iterator[Broken]:
    http = settings.execution.http
    if http.token_file is not None and not is_loopback(f"http://{_bracketed(http.host)}", ("http",)):
        keys = ("execution.http.token_file", "execution.http.host")
        yield Broken(
            keys,
            f"{keys[0]} is set while {keys[1]} is {shown(http.host)}: halt and resume over HTTP are for "
            f"loopback alone: set {keys[1]} to 127.0.0.1, or remove {keys[0]}",
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


_RULES: tuple[Rule, ...] = (
    _symbols,
    _thresholds,
    _unlimited,
    _testnet,
    _venue,
    _live,
    _urls,
    _absence,
    _credential_names,
    _ordered,
    _paper,
    _shadow,
    _notify,
    _control,
)
