"""Every knob of the worker: its name with its unit, its default, its bounds and why.

Pure: no file and no environment is read here; `config.load` merges the layers and calls
`Settings.model_validate`. Names and defaults are the public contract of the YAML file.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from config.node import Node
from config.notify_settings import Notify


class Mode(StrEnum):
    """Where orders go."""

    DRY_RUN = "dry_run"
    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"

    @property
    def touches_exchange(self) -> bool:
        """True where real or demo orders leave the host; the strict defaults apply there."""
        return self in (Mode.TESTNET, Mode.LIVE)


class SinkKind(StrEnum):
    """Where the producer writes signals."""

    JSONL = "jsonl"
    SQLITE = "sqlite"
    AUTO = "auto"


Symbol = Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z0-9]{2,20}$")]


class Sink(Node):
    """What the producer writes, and the output folder."""

    kind: SinkKind = SinkKind.AUTO
    base_dir: Path = Path("./runtime")


class Source(Node):
    """Where signals are read; bounds keep memory flat whatever the backlog."""

    base_dir: Path | None = None
    max_line_bytes: int = Field(default=65_536, ge=1_024, le=16_777_216)
    # 256 KiB: about 1 200 signals, one batch; larger reads gain nothing and cost memory.
    chunk_bytes: int = Field(default=262_144, ge=4_096, le=16_777_216)
    # A hot file is stat-ed this often even when a wake-up hint was lost.
    poll_ms: int = Field(default=50, ge=5, le=10_000)
    rescan_ms: int = Field(default=1_000, ge=50, le=60_000)
    # An unterminated last line is taken once the file was quiet for this long.
    quiet_ms: int = Field(default=1_000, ge=10, le=60_000)
    # WITHOUT ROWID tables: rows up to this much older than the newest are still looked for.
    lookback_ms: int = Field(default=600_000, ge=0, le=86_400_000)
    recount_ms: int = Field(default=600_000, ge=100, le=86_400_000)
    sqlite_busy_timeout_ms: int = Field(default=2_000, ge=0, le=60_000)


class RateLimit(Node):
    """How fast orders may leave."""

    max_qps: float | None = Field(default=10, ge=0.1, le=100_000)
    max_concurrency: int = Field(default=2, ge=1, le=64)


class Retry(Node):
    """Answered attempts; what was provably not sent is retried within the signal's life."""

    max_attempts: int = Field(default=3, ge=1, le=100)
    backoff_ms: int = Field(default=500, ge=1, le=60_000)


class Business(Node):
    """Thresholds and sizes."""

    long_score_threshold: float = Field(default=0.5, allow_inf_nan=False)
    short_score_threshold: float = Field(default=-0.5, allow_inf_nan=False)
    base_order_qty: Decimal = Field(default=Decimal("100.0"), gt=0, allow_inf_nan=False)
    order_size_usd: Decimal = Field(default=Decimal("100.0"), gt=0, allow_inf_nan=False)


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long an order works."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderSettings(Node):
    """What kind of order a signal becomes."""

    type: OrderType = OrderType.MARKET
    tif: TimeInForce = TimeInForce.GTC
    price_max_age_ms: int = Field(default=2_000, ge=1, le=600_000)


class CostModel(StrEnum):
    """How costs are assumed: always the same, by size, or by who waits and who takes."""

    STATIC = "static"
    LINEAR = "linear"
    MAKER_TAKER = "maker_taker"


class Cost(Node):
    """Assumed costs, in basis points."""

    model: CostModel = CostModel.STATIC
    slippage_bps: Decimal = Field(default=Decimal("1.0"), ge=0, le=10_000, allow_inf_nan=False)
    fee_bps: Decimal = Field(default=Decimal("1.93"), ge=-10_000, le=10_000, allow_inf_nan=False)
    depth_usd: Decimal = Field(default=Decimal("100000"), gt=0, allow_inf_nan=False)
    maker_fee_bps: Decimal = Field(default=Decimal("2.0"), ge=-10_000, le=10_000, allow_inf_nan=False)
    taker_fee_bps: Decimal = Field(default=Decimal("5.0"), ge=-10_000, le=10_000, allow_inf_nan=False)


class PriceSource(StrEnum):
    """Where the simulated venue's prices come from."""

    SIGNAL = "signal"
    FILE = "file"
    BOOK = "book"


class Paper(Node):
    """The simulated venue of mode paper."""

    prices: PriceSource = PriceSource.SIGNAL
    price_file: Path | None = None
    fallback_price: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False)
    rules_file: Path | None = None
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    latency_ms: int = Field(default=0, ge=0, le=60_000)
    latency_jitter_ms: int = Field(default=0, ge=0, le=60_000)
    partial_share: float = Field(default=0.0, ge=0, le=1)
    timeouts: tuple[str, ...] = ()
    error_share: float = Field(default=0.0, ge=0, le=1)
    slippage_bps_max: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False)
    fill_attempts: int = Field(default=3, ge=1, le=100)


class Staleness(Node):
    """How old a signal may be when it is sent; null: 60 000 on testnet and live, off otherwise."""

    max_age_ms: int | None = Field(default=None, ge=1_000, le=600_000)


class Precheck(Node):
    """Checks of the signal's own state; null: on for testnet and live."""

    enabled: bool | None = None
    critical_guard_reasons: tuple[str, ...] = (
        "warmup",
        "spread_too_wide",
        "lag_exceeds_cap",
        "market_inactive",
    )
    consistency_min: float = Field(default=0.15, ge=0, le=1)
    consistency_full: float = Field(default=0.20, ge=0, le=1)
    keep_one_in: int = Field(default=3, ge=1, le=10_000)


class Throttle(Node):
    """How the rate follows the share of denied signals and the market; null: on for testnet and live."""

    enabled: bool | None = None
    qps_min: float = Field(default=1.0, ge=0.1, le=100_000)
    qps_max: float | None = Field(default=None, ge=0.1, le=100_000)
    window_ms: int = Field(default=60_000, ge=1_000, le=3_600_000)
    signals_min: int = Field(default=20, ge=1, le=1_000_000)
    denied_share_low: float = Field(default=0.2, ge=0, le=1)
    denied_share_high: float = Field(default=0.6, ge=0, le=1)
    denied_factor: float = Field(default=0.5, gt=0, le=1)
    quiet_factor: float = Field(default=0.5, gt=0, le=1)
    step_share: float = Field(default=0.1, ge=0, le=1)
    hold_ms: int = Field(default=5_000, ge=0, le=600_000)


class Risk(Node):
    """Hard limits; live refuses to start while one is null."""

    max_order_usd: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_orders_per_minute: int | None = Field(default=None, ge=1)
    max_position_usd: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False)


class Shadow(Node):
    """A second venue that gets a copy of every order, never one with real money."""

    enabled: bool = False
    name: str = "binance-futures"
    api_key_env: str = "SHADOW_API_KEY"
    secret_env: str = "SHADOW_API_SECRET"
    rest_url: str | None = None
    stream_url: str | None = None
    orders_waiting_max: int = Field(default=1_000, ge=1, le=100_000)
    price_tolerance_bps: Decimal = Field(default=Decimal("5.0"), ge=0, allow_inf_nan=False)
    pairs_window: int = Field(default=1_000, ge=10, le=1_000_000)
    parity_min: float = Field(default=0.99, ge=0, le=1)


class ExecLog(StrEnum):
    """Where the life of every order is told: minute files, a table, or nowhere."""

    JSONL = "jsonl"
    SQLITE = "sqlite"
    OFF = "off"


class Debug(Node):
    """Extra outputs."""

    log_skipped_signals: bool = False


class Http(Node):
    """The status server; loopback by default."""

    host: str = "127.0.0.1"
    port: int = Field(default=9109, ge=0, le=65_535)
    # Who holds this token may halt and resume; none, and the paths are off.
    token_file: Path | None = None


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How standard error is written; auto: human on a terminal, JSON elsewhere."""

    AUTO = "auto"
    HUMAN = "human"
    JSON = "json"


class Log(Node):
    """Logging."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO
    success_share: float = Field(default=0.01, ge=0, le=1)


class RunSource(StrEnum):
    """Why the worker runs; copied into every record."""

    PROD = "prod"
    MAINTENANCE = "maintenance"
    SMOKE = "smoke"
    ASYNC_TEST = "async_test"


class Execution(Node):
    """The `execution:` node."""

    enabled: bool = True
    mode: Mode = Mode.DRY_RUN
    symbols: tuple[Symbol, ...] = ("BTCUSDT", "ETHUSDT")
    run_source: RunSource = RunSource.PROD
    keep_days: int | None = Field(default=None, ge=1, le=36_500)
    sink: Sink = Sink()
    source: Source = Source()
    rate_limit: RateLimit = RateLimit()
    retry: Retry = Retry()
    business: Business = Business()
    order: OrderSettings = OrderSettings()
    cost: Cost = Cost()
    paper: Paper = Paper()
    staleness: Staleness = Staleness()
    precheck: Precheck = Precheck()
    throttle: Throttle = Throttle()
    risk: Risk = Risk()
    shadow: Shadow = Shadow()
    execlog: ExecLog = ExecLog.JSONL
    debug: Debug = Debug()
    http: Http = Http()
    log: Log = Log()
    notify: Notify = Notify()

    @property
    def output_dir(self) -> Path:
        """The output folder (V13_OUTPUT_DIR)."""
        return self.sink.base_dir

    @property
    def signals_dir(self) -> Path:
        """The folder signals are read from."""
        return self.source.base_dir if self.source.base_dir is not None else self.sink.base_dir

    @property
    def max_age_ms(self) -> int | None:
        """The staleness limit in force, by mode; None means off."""
        if self.staleness.max_age_ms is not None:
            return self.staleness.max_age_ms
        return 60_000 if self.mode.touches_exchange else None

    @property
    def precheck_on(self) -> bool:
        """Whether a signal's own state can deny it, by mode."""
        given = self.precheck.enabled
        return self.mode.touches_exchange if given is None else given

    @property
    def throttle_on(self) -> bool:
        """Whether the rate follows denials and market, by mode; a rate without limit follows nothing."""
        given = self.throttle.enabled
        return self.mode.touches_exchange if given is None else given


class Broker(Node):
    """The `broker:` node."""

    name: str = "binance-futures"
    api_key_env: str = "BINANCE_API_KEY"
    secret_env: str = "BINANCE_API_SECRET"
    api_key_file: Path | None = None
    secret_file: Path | None = None
    testnet: bool | None = None
    mock_enabled: bool | None = None
    rest_url: str | None = None
    stream_url: str | None = None
    recv_window_ms: int = Field(default=5_000, ge=100, le=60_000)
    absence_margin_ms: int = Field(default=10_000, ge=0, le=600_000)
    visibility_ms: int = Field(default=60_000, ge=0, le=600_000)
    absence_spacing_ms: int = Field(default=5_000, ge=0, le=60_000)
    # After its reservation an order may be signed for this long; later it gets a new window.
    send_window_ms: int = Field(default=5_000, ge=100, le=60_000)
    # An answer that takes longer is no answer: the order is unknown then.
    request_timeout_ms: int = Field(default=10_000, ge=100, le=60_000)
    # Orders that work are asked about this often where no user stream tells.
    settle_poll_ms: int = Field(default=1_000, ge=50, le=60_000)
    # How far back orders with our prefix are looked for at start; the exchange answers for 7 days at once.
    history_ms: int = Field(default=86_400_000, ge=60_000, le=604_800_000)
    trust_env_proxy: bool = False


class Settings(BaseModel):
    """The merged configuration: our two nodes; foreign top-level nodes never reach it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    execution: Execution = Execution()
    broker: Broker = Broker()
