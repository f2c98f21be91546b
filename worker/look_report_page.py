"""The report as one HTML page: no script, no network, every word from outside escaped. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from worker.look_charts import Bar, Line, bar_chart, line_chart
from worker.look_figures import assumptions, by_day, by_symbol, lag_line, money, spread_line, title
from worker.look_times import span
from worker.version import VERSION
from worker.when import moment

if TYPE_CHECKING:
    from worker.look_report import Report

_EDGES_MS = (0.1, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)
_REASONS_MAX = 30
# Nothing is fetched from anywhere, whatever stands in the store.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE_FILE = Path(__file__).with_name("look_report.css")


def page(report: Report) -> str:
    """The whole page; the same report gives the same bytes."""
    body = [
        "<h1>Executions</h1>",
        f"<p>{escape(title(report))}</p>",
        f'<p class="soft">store {escape(report.store)}, made {moment(report.made_ms)[:19]} UTC '
        f"by execution-worker {escape(VERSION)}</p>",
        _tiles(report),
        _equity(report),
        _section("By symbol", _table(*by_symbol(report), left=1)),
        _section("By day", _table(*by_day(report), left=2)),
        _answers(report),
        _reasons("Why signals were skipped", report.outcomes.skips),
        _reasons("Why orders failed", report.outcomes.failures),
        _section(
            "What this assumes",
            f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in assumptions(report))}</ul>",
        ),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>Executions {escape(title(report))}</title>"
        f"<style>{STYLE_FILE.read_text()}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _section(head: str, inside: str) -> str:
    return f"<section><h2>{escape(head)}</h2>\n{inside}</section>" if inside else ""


def _tiles(report: Report) -> str:
    ends = report.outcomes.by_status
    tiles = [
        (str(sum(ends.values())), "executions"),
        (str(ends["success"]), "orders filled"),
        (str(ends["failed"]), "orders failed"),
        (str(ends["skip"]), "signals skipped"),
    ]
    for asset, earned in report.by_asset().items():
        rate = "-" if earned.win_rate is None else f"{earned.win_rate:.1%}"
        tiles += [
            (money(earned.net), f"{asset} realised after fees"),
            (money(earned.fees), f"{asset} fees"),
            (rate, f"of {earned.closings} closing orders won ({asset})"),
        ]
    cells = "".join(
        f'<div class="tile"><b{" class=less" if number.startswith("-") and len(number) > 1 else ""}>'
        f"{escape(number)}</b><span>{escape(words)}</span></div>"
        for number, words in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _equity(report: Report) -> str:
    charts = []
    for asset, curve in sorted(report.curves.items()):
        width = report.pieces.width_ms
        points = [(report.first_ms, 0.0)]
        points += [
            (min(report.first_ms + (piece + 1) * width, report.last_ms), float(total))
            for piece, total in sorted(curve.points.items())
        ]
        chart = line_chart(
            f"realised profit after fees in {asset}",
            [Line(asset, "one", points)],
            (report.first_ms, report.last_ms),
            lambda value: f"{value:,.6g}",
        )
        told = f"{asset}: {money(curve.total)} at the end, deepest fall {money(curve.drawdown)}"
        charts.append(f'<p class="soft">{escape(told)}</p>{_wide(chart)}')
    return _section("Equity: realised profit after fees", "".join(charts))


def _answers(report: Report) -> str:
    told = (
        f"<p>{escape(spread_line(report))}</p>"
        f'<p class="soft">Signals were {escape(lag_line(report))} old when they were read.</p>'
    )
    if not report.answers.count:
        return _section("How long the venue took to answer", told)
    counts = report.answers.bars(_EDGES_MS)
    labels = [f"≤ {span(edge)}" for edge in _EDGES_MS] + ["more"]
    bars = [
        Bar(label.removesuffix(" ms"), count, f"{label}: {count} orders")
        for label, count in zip(labels, counts, strict=True)
    ]
    over_time = report.answers_over_time
    lines = [Line("p50", "one", over_time.points(0.5)), Line("p95", "two", over_time.points(0.95))]
    ends = (report.first_ms, report.last_ms)
    key = '<p class="key"><i class="one"></i>p50<i class="two"></i>p95, milliseconds over time</p>'
    return _section(
        "How long the venue took to answer",
        told
        + '<p class="key">orders by milliseconds to the answer</p>'
        + _wide(bar_chart("orders by milliseconds to the answer", bars))
        + key
        + _wide(line_chart("latency over time", lines, ends, lambda value: f"{value:g} ms")),
    )


def _wide(inside: str) -> str:
    """Scrolls by itself where the screen is narrow."""
    return f'<div class="wide">{inside}</div>' if inside else ""


def _reasons(head: str, reasons: Counter[str]) -> str:
    total = reasons.total()
    rows = "".join(
        f'<tr><td class="left">{escape(code)}</td><td>{count}</td>'
        f'<td class="bar"><i style="width:{count / total:.1%}"></i></td></tr>'
        for code, count in reasons.most_common(_REASONS_MAX)
    )
    return _section(head, f"<table>{rows}</table>" if rows else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    if not rows:
        return ""
    lines = [_row("th", head, left), *(_row("td", row, left) for row in rows)]
    return _wide(f"<table>{''.join(lines)}</table>")


def _row(tag: str, cells: Sequence[str], left: int) -> str:
    return (
        "<tr>"
        + "".join(
            f"<{tag}{' class=left' if number < left else ''}>{escape(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )
        + "</tr>"
    )
