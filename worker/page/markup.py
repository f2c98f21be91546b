"""The page as HTML, for those without a script and for the first moment of the others. Pure.

The script fills the same elements; both take every word from the view, and here every word is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from worker.page.tables import Table
from worker.page.view import Fact, View

_FOLDER = Path(__file__).parent
TEMPLATE = (_FOLDER / "page.html").read_text("utf-8")
SCRIPT = (_FOLDER / "page.js").read_bytes()
STYLE = (_FOLDER / "page.css").read_bytes()


def page_of(view: View, sections: Mapping[str, str] | None = None) -> str:
    """The whole document; `sections` by the key of their table, where they were made before."""
    if sections is None:
        sections = {table.key: section_of(table) for table in view.tables}
    parts = {
        "title": escape(f"{view.mode_word} · {view.verdict.word}"),
        "version": escape(view.version),
        "mode": escape(view.mode),
        "mode_word": escape(view.mode_word),
        "mode_says": escape(view.mode_says),
        "at": escape(view.at),
        "tone": escape(view.verdict.tone),
        "word": escape(view.verdict.word),
        "why": "".join(f"<li>{escape(line)}</li>" for line in view.verdict.why),
        "facts": "".join(map(_fact, view.facts)),
        **sections,
        "foot": escape(view.foot),
    }
    # One pass: what a word of a stranger looks like is never filled in again.
    pieces = TEMPLATE.split("@@")
    assert len(pieces) % 2 == 1, "a mark of page.html is not closed"
    return "".join(piece if at % 2 == 0 else parts[piece] for at, piece in enumerate(pieces))


def _fact(fact: Fact) -> str:
    note = f"<small>{escape(fact.note)}</small>" if fact.note else ""
    return (
        f'<div class="fact {escape(fact.tone)}"><dt>{escape(fact.label)}</dt>'
        f"<dd>{escape(fact.text)}{note}</dd></div>"
    )


def section_of(table: Table) -> str:
    """A table with its title, or what is said instead of an empty one."""
    return (
        f'<section id="{escape(table.key)}" aria-labelledby="{escape(table.key)}-title">'
        f'<h2 id="{escape(table.key)}-title">{escape(table.title)}</h2>{_body(table)}'
        f'<p class="note"{"" if table.note else " hidden"}>{escape(table.note)}</p></section>'
    )


def _body(table: Table) -> str:
    empty = "" if not table.rows else " hidden"
    head = "".join(
        f'<th scope="col" class="{escape(kind)}">{escape(name)}</th>' for name, kind in table.columns
    )
    return (
        f'<p class="empty"{empty}>{escape(table.empty)}</p>'
        f"<table{'' if table.rows else ' hidden'}><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(_rows(table))}</tbody></table>"
    )


def _rows(table: Table) -> Iterable[str]:
    for tone, cells in table.rows:
        yield f'<tr class="{escape(tone)}">'
        for (name, kind), text in zip(table.columns, cells, strict=True):
            inside = f"<code>{escape(text)}</code>" if kind == "command" else escape(text)
            yield f'<td class="{escape(kind)}" data-name="{escape(name)}">{inside}</td>'
        yield "</tr>"
