"""The page's paths: read only, with headers that let a browser load nothing from anywhere else.

What costs something is made once a second, however many look on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from aiohttp import web

from store.recent import EXECUTIONS_MAX, Execution
from worker.history import SAMPLE_S, SAMPLES_MAX
from worker.http import Probe
from worker.page.markup import SCRIPT, STYLE, page_of, section_of
from worker.page.seen import Seen, Status
from worker.page.sights import Look, Sights
from worker.page.tables import TABLES
from worker.page.view import View, view_of
from worker.page.words import shown

PATHS = frozenset({"/", "/page.js", "/page.css", "/page.json", "/history.json", "/executions.json"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
HTML, SCRIPT_TYPE, STYLE_TYPE, JSON = "text/html", "text/javascript", "text/css", "application/json"
EXECUTIONS_DEFAULT = 50
NOTHING_SEEN = Look(0)
LIMIT_REFUSAL = f"limit must be a number from 1 to {EXECUTIONS_MAX}"


class Page:
    """What is answered on the page's paths; without `sights` there is /status and nothing else to show."""

    def __init__(self, probe: Probe, sights: Sights | None) -> None:
        self._probe = probe
        self._sights = sights
        self._made: dict[str, tuple[Look, asyncio.Task[bytes]]] = {}

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The response to a GET or HEAD of one of PATHS."""
        match request.path:
            case "/page.js":
                return _answer(SCRIPT, SCRIPT_TYPE)
            case "/page.css":
                return _answer(STYLE, STYLE_TYPE)
            case "/history.json":
                return _answer(self._history(), JSON)
            case "/executions.json":
                return await self._executions(request.query.get("limit", str(EXECUTIONS_DEFAULT)))
            case "/page.json":
                return _answer(await self._made_once(JSON, self._make_json), JSON)
            case _:
                return _answer(await self._made_once(HTML, self._make_html), HTML)

    async def _made_once(self, kind: str, make: Callable[[Look], Coroutine[Any, Any, bytes]]) -> bytes:
        """The page in one of its kinds, made anew with every look, once for all who ask."""
        look = await self._look()
        made = self._made.get(kind)
        if made is None or made[0] is not look:
            made = self._made[kind] = (look, asyncio.create_task(make(look), name="page"))
        return await asyncio.shield(made[1])

    async def _make_json(self, look: Look) -> bytes:
        return msgspec.json.encode(await self._view(look))

    async def _make_html(self, look: Look) -> bytes:
        view, sections = await self._view(look), {}
        for table in view.tables:
            sections[table.key] = section_of(table)
            await self._give_way()
        return page_of(view, sections).encode()

    async def _view(self, look: Look) -> View:
        """Table by table: an order that is due meanwhile waits for one of them at most."""
        seen, tables = self._seen(look), []
        for make in TABLES:
            await self._give_way()
            tables.append(make(seen))
        return view_of(seen, tables)

    async def _give_way(self) -> None:
        """Let whatever is due go first."""
        if self._sights is not None:
            await self._sights.clock.sleep(0)

    async def _look(self) -> Look:
        return NOTHING_SEEN if self._sights is None else await self._sights.look()

    def _seen(self, look: Look) -> Seen:
        folder, drill = look.drill if isinstance(look.drill, tuple) else (None, None)
        sights = self._sights
        return Seen(
            at_ms=look.at_ms if sights is None else sights.clock.wall_ms(),
            status=msgspec.convert(self._probe.status(), Status),
            recent=look.recent,
            samples=() if sights is None else tuple(sights.history.samples),
            drill=drill,
            drill_folder="" if folder is None else str(folder),
            output="" if sights is None else str(sights.output_dir),
            store_trouble=look.trouble,
            drill_trouble=look.drill if isinstance(look.drill, str) else None,
        )

    def _history(self) -> bytes:
        samples = [] if self._sights is None else list(self._sights.history.samples)
        return msgspec.json.encode({"step_s": SAMPLE_S, "length": SAMPLES_MAX, "samples": samples})

    async def _executions(self, wanted: str) -> web.Response:
        limit = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) <= 3 else 0
        if not 1 <= limit <= EXECUTIONS_MAX:
            return _answer(msgspec.json.encode({"trouble": LIMIT_REFUSAL}), JSON, status=400)
        look = await self._look()
        body = {
            "at_ms": look.at_ms,
            "trouble": look.trouble,
            "executions": [_safe(one) for one in look.recent.executions[:limit]],
            "unresolved": [_safe(one) for one in look.recent.unresolved],
        }
        return _answer(msgspec.json.encode(body), JSON, status=200 if look.trouble is None else 503)


def _safe(execution: Execution) -> dict[str, object]:
    """The row as it is, apart from what no reader of JSON could take: half a pair of a long character."""
    row = msgspec.structs.asdict(execution)
    return {name: shown(value) if isinstance(value, str) else value for name, value in row.items()}


def _answer(body: bytes, kind: str, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=kind, charset="utf-8", headers=HEADERS)
