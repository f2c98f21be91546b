"""The report of a drill: one HTML file that needs nobody, for a screen, a phone and paper. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from worker.drill.figures import COLUMNS, DrillResult, RowResult, cells, percentile, seconds, totals

HEADINGS = (
    "Drill", "Kills", "Signals fed", "Rows", "Lines", "Orders accepted", "Duplicates", "Lost",
    "Recovery p50", "Recovery p99", "Verdict",
)  # fmt: skip
BINS = 24
WIDTH, BAR_HEIGHT, LANE_HEIGHT = 720, 120, 30
# What a moment of a drill is drawn as, by its first words.
MARKS = (
    ("the worker killed", "worker", "worker killed"),
    ("the worker ended", "worker", "worker killed"),
    ("the feed killed", "feed", "feed killed"),
    ("the exchange killed", "exchange", "exchange killed"),
    ("the disk full", "full", "disk full"),
    ("ready", "ready", "worker ready"),
)
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #6a737d; --line: #d8dee4;
  --good: #1a7f37; --bad: #c5221f; --worker: #c5221f; --feed: #b26a00; --exchange: #6f42c1; --full: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1;
  --line: #30363d; --good: #3fb950; --bad: #ff7b72; --worker: #ff7b72; --feed: #e3a13a; --exchange: #bc8cff;
  --full: #79c0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
.verdict { font-size: 1.15rem; font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
.soft { color: var(--soft); } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .35rem .45rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
tr.sum td { font-weight: 600; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
.bar { fill: var(--good); } .axis { stroke: var(--line); }
.worker { stroke: var(--worker); } .feed { stroke: var(--feed); } .exchange { stroke: var(--exchange); }
.full { stroke: var(--full); } .ready { stroke: var(--good); } .mark { stroke-width: 2; }
.key span { margin-right: 1rem; white-space: nowrap; } .key i { display: inline-block; width: 3px;
  height: .9em; margin-right: .35rem; vertical-align: -.1em; }
code { font-size: .9em; } li { margin: .2rem 0; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } h2, h3, svg { break-inside: avoid; }
  th, td { padding: .2rem .3rem; font-size: 8pt; } .wide { overflow: visible; } }
"""
PROOF = (
    "The witnesses are the feed's own list of what it wrote and, where orders leave, the journal of the "
    "venue. For every signal of the list there must be one row and one line with the outcome that the rules "
    "give; for every eligible one exactly one accepted order, and its fills in the row to the last digit. "
    "The worker's own word counts for nothing. Recovery is the time from the start of a process to 200 on "
    "/readyz."
)
TO_DO = (
    "Do not trade with this installation on this host until the objection is understood.",
    "Keep the folder of the evidence: it holds the feed's list, store, lines, journal and every log.",
    "A drill that says <i>not carried out</i> may have found something in its way, such as no memory, no "
    "room or no port: read what it says, mend that and run it again.",
    "Lost, doubled, strange and contradiction name a signal: look for its id in the folder's "
    "<code>worker-*.log</code>, and ask "
    "<code>execution-worker inspect ID --output FOLDER/DRILL/output --signals FOLDER/DRILL/signals</code>.",
    "Run it again with the same seed. The moments of the kills depend on the speed of the host too, so a "
    "rare fault may need several runs.",
)


def page(result: DrillResult, folder: Path) -> str:
    """The whole report."""
    began = datetime.fromtimestamp(result.started_ms // 1_000, UTC)
    took_s = (result.ended_ms - result.started_ms) / 1_000
    word, look = ("passed", "good") if result.passed else ("FAILED", "bad")
    lost = sum(row.lost for row in result.rows)
    doubled = sum(row.duplicates for row in result.rows)
    kills = sum(row.kills for row in result.rows)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Drill {escape(result.kind)}: {word}</title><style>{STYLE}</style></head><body>",
        "<h1>Recovery drill of execution-worker</h1>",
        f'<p class="verdict {look}">{word}: {kills} kills, {lost} lost, {doubled} duplicates</p>',
        f'<p class="soft">{escape(result.kind)}, {began:%Y-%m-%d %H:%M:%S} UTC, {took_s:.0f} s, '
        f"seed {result.seed}, version {escape(result.version)}</p>",
        _table(result.rows),
        f"<p>{PROOF}</p>",
        *_objections(result.rows),
        "<h2>Recovery times</h2>",
        _histogram([value for row in result.rows for value in row.recoveries_s]),
        "<h2>What happened when</h2>",
        _key(),
        *map(_course, result.rows),
        "<h2>The evidence</h2>",
        f"<p>It lies in <code>{escape(str(folder))}</code>, a folder for each drill.</p>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[RowResult]) -> str:
    assert len(HEADINGS) == len(COLUMNS)
    # The verdict comes second: on a phone the columns after it are out of sight.
    head = "".join(f"<th>{escape(name)}</th>" for name in (HEADINGS[0], HEADINGS[-1], *HEADINGS[1:-1]))
    body = [_line(cells(row), "") for row in rows]
    if len(rows) > 1:
        body.append(_line(totals(rows), ' class="sum"'))
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _line(values: Sequence[str], attribute: str) -> str:
    name, *others, verdict = values
    look = "good" if verdict == "passed" else "bad"
    texts = "".join(f"<td>{escape(value)}</td>" for value in others)
    return f'<tr{attribute}><td>{escape(name)}</td><td class="{look}">{escape(verdict)}</td>{texts}</tr>'


def _objections(rows: Sequence[RowResult]) -> list[str]:
    """What was objected, and what to do; and what else a person should know."""
    parts: list[str] = []
    failed = [row for row in rows if not row.passed]
    if failed:
        told = [
            f"<li>{escape(row.drill)}: {escape(text)}</li>"
            for row in failed
            for text in row.complaints or [row.why]
        ]
        steps = "".join(f"<li>{step}</li>" for step in TO_DO)
        parts += ['<h2 class="bad">Objections</h2>', f"<ul>{''.join(told)}</ul>"]
        parts += ["<h2>What to do</h2>", f"<ol>{steps}</ol>"]
    notes = [f"<li>{escape(row.drill)}: {escape(note)}</li>" for row in rows for note in row.notes]
    if notes:
        parts.append(f"<ul>{''.join(notes)}</ul>")
    return parts


def _histogram(values: Sequence[float]) -> str:
    """How many recoveries took how long."""
    if not values:
        return "<p>No worker became ready.</p>"
    longest = max(values)
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value / longest * BINS))] += 1
    step, high = WIDTH / BINS, max(counts)
    bars = []
    for at, count in enumerate(counts):
        height = BAR_HEIGHT * count / high
        told = f"{at * longest / BINS:.2f} to {(at + 1) * longest / BINS:.2f} s: {count}"
        bars.append(
            f'<rect class="bar" x="{at * step + 1:.1f}" y="{BAR_HEIGHT - height + 2:.1f}" '
            f'width="{step - 2:.1f}" height="{height:.1f}"><title>{told}</title></rect>'
        )
    ticks = "".join(
        f'<text x="{WIDTH * share:.0f}" y="{BAR_HEIGHT + 18}" text-anchor="{anchor}">'
        f"{longest * share:.2f} s</text>"
        for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    words = (
        f"{len(values)} starts: half within {seconds(percentile(values, 0.5))}, "
        f"99 of 100 within {seconds(percentile(values, 0.99))}, the longest {seconds(longest)}"
    )
    return (
        f'<p>{words}.</p><svg viewBox="0 0 {WIDTH} {BAR_HEIGHT + 24}" role="img" aria-label="{words}">'
        f'{"".join(bars)}<line class="axis" x1="0" x2="{WIDTH}" y1="{BAR_HEIGHT + 2}" y2="{BAR_HEIGHT + 2}"/>'
        f"{ticks}</svg>"
    )


def _key() -> str:
    names = dict.fromkeys((look, name) for _, look, name in MARKS)
    colors = {"ready": "good"}
    items = "".join(
        f'<span><i style="background:var(--{colors.get(look, look)})"></i>{escape(name)}</span>'
        for look, name in names
    )
    return f'<p class="key">{items}</p>'


def _course(row: RowResult) -> str:
    """One drill from its begin to its end."""
    end_s = max([row.took_s, *(moment.at_s for moment in row.timeline)]) or 1.0
    marks = []
    for moment in row.timeline:
        look = next((look for words, look, _ in MARKS if moment.what.startswith(words)), None)
        if look is None:
            continue
        x = WIDTH * moment.at_s / end_s
        top = LANE_HEIGHT / 2 if look == "ready" else 2
        told = escape(f"{moment.at_s:.1f} s: {moment.what}")
        marks.append(
            f'<line class="mark {look}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{LANE_HEIGHT}">'
            f"<title>{told}</title></line>"
        )
    label = escape(f"{row.drill}: {row.kills} kills in {row.took_s:.0f} s")
    return (
        f'<h3>{label}</h3><svg viewBox="0 0 {WIDTH} {LANE_HEIGHT + 18}" role="img" aria-label="{label}">'
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{LANE_HEIGHT}" y2="{LANE_HEIGHT}"/>{"".join(marks)}'
        f'<text x="0" y="{LANE_HEIGHT + 15}">0 s</text>'
        f'<text x="{WIDTH}" y="{LANE_HEIGHT + 15}" text-anchor="end">{end_s:.0f} s</text></svg>'
    )
