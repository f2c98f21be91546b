"""The page's paths: read only, with headers that let a browser load nothing from anywhere else."""

from __future__ import annotations

from aiohttp import web

from worker.http import Probe
from worker.page.sights import Sights

PATHS = frozenset({"/", "/page.js", "/page.css", "/page.json", "/history.json", "/executions.json"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


class Page:
    """What is answered on the page's paths; without `sights` there is /status and nothing else to show."""

    def __init__(self, probe: Probe, sights: Sights | None) -> None:
        self._probe = probe
        self._sights = sights

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The response to a GET or HEAD of one of PATHS."""
        return web.Response(text="execution-worker\n", headers=HEADERS)
