"""The page of a soak, in Markdown: its numbers, and a drawing of memory and late signals. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from drill_exchange.judge import Verdict
from soak.verdict import (
    LAG_BOUND_MS,
    WARM_UP_MINUTES,
    Minute,
    Sample,
    longest_late_run,
    minutes_of,
    slope_bytes_per_hour,
)

WIDTH, HEIGHT, LEFT, GAP = 720, 120, 60, 40
TOP = 24


def page(
    samples: Sequence[Sample],
    verdict: Verdict,
    objections: Sequence[str],
    *,
    minutes: float,
    seed: int,
    drawing_name: str,
) -> str:
    """The text of the page."""
    rows = _figures(samples, verdict)
    lines = [
        "# An hour of steady work",
        "",
        "Twenty signals a second over five symbols, a new file each minute, lines torn, doubled and",
        "broken now and then; the worker trades them on the practice exchange over the real protocol. The",
        "feed's own list and the exchange's own journal decide what was lost or doubled; `/proc` and",
        "`/metrics` tell the rest.",
        "",
        "```",
        f"make soak MINUTES={minutes:g} SEED={seed}",
        "```",
        "",
        "| figure | measured |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "Lag is the time from a signal's own time to its reservation, producer and disk included. Open files",
        "are the fewest of each minute: one more is open while a file is read or a probe is answered.",
        "",
        *(f"**{objection}**\n" for objection in objections),
        f"![Memory and late signals, minute by minute]({drawing_name})",
    ]
    return "\n".join(lines) + "\n"


def _figures(samples: Sequence[Sample], verdict: Verdict) -> list[tuple[str, str]]:
    """What was measured, a line each."""
    passed = minutes_of(samples)
    warm = [one for one in samples if one.at_s >= WARM_UP_MINUTES * 60] or list(samples)
    slope = slope_bytes_per_hour(samples, WARM_UP_MINUTES * 60)
    late = sum(minute.late for minute in passed)
    signals = sum(minute.signals for minute in passed)
    share = f"{100 * late / max(1, signals):.3f} %"
    open_files = sorted({one.descriptors for one in passed})
    return [
        ("signals fed", f"{verdict.signals}"),
        ("rows, lines", f"{verdict.rows}, {verdict.lines}"),
        ("eligible signals, accepted orders", f"{verdict.eligible}, {verdict.accepted}"),
        ("lost, doubled", f"{verdict.lost}, {verdict.doubled}"),
        (f"signals later than {LAG_BOUND_MS} ms", f"{late} of {signals} ({share})"),
        ("minutes whose 99th percentile is above that", f"{sum(minute.is_late for minute in passed)}"),
        ("of them in a row at most", f"{longest_late_run(passed)} (bound: 2)"),
        ("memory after the warm-up", f"{warm[0].rss_bytes / 1e6:.1f} MB"),
        ("memory at the end", f"{warm[-1].rss_bytes / 1e6:.1f} MB"),
        ("its slope", f"{slope / 1e6:+.2f} MB an hour (bound: 1)"),
        ("open files", ", ".join(map(str, open_files))),
    ]


def drawing(minutes: Sequence[Minute]) -> str:
    """Memory, lag and open files by the minute, as SVG."""
    number = [minute.number for minute in minutes]
    charts = [
        ("memory, MB", [minute.rss_bytes / 1e6 for minute in minutes]),
        (f"signals later than {LAG_BOUND_MS} ms, %", [100 * m.late / max(1, m.signals) for m in minutes]),
        ("open files", [float(minute.descriptors) for minute in minutes]),
    ]
    high = TOP + len(charts) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{high}" fill="#fff"/>',
    ]
    for index, (title, values) in enumerate(charts):
        parts += _chart(title, number, values, TOP + index * (HEIGHT + GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(title: str, numbers: Sequence[int], values: Sequence[float], top: float) -> list[str]:
    """One line over the minutes, from 0 to a little above its highest value."""
    highest = max(1.0, *values) * 1.1
    width = WIDTH - LEFT - 20
    steps = max(1, numbers[-1] - numbers[0])
    points = " ".join(
        f"{LEFT + width * (number - numbers[0]) / steps:.1f},{top + HEIGHT * (1 - value / highest):.1f}"
        for number, value in zip(numbers, values, strict=True)
    )
    bottom = top + HEIGHT
    return [
        f'<text x="{LEFT}" y="{top - 6}">{title}</text>',
        f'<path d="M{LEFT} {top}V{bottom}H{WIDTH - 20}" fill="none" stroke="#888"/>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{highest:.0f}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{WIDTH - 20}" y="{bottom + 14}" text-anchor="end">minute {numbers[-1]}</text>',
        f'<polyline points="{points}" fill="none" stroke="#0a5" stroke-width="1.5"/>',
    ]
