"""What an adapter sees of the store, in the adapter's words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from store.ledger import Ledger
from store.records import Share
from store.writer import Writer

KEPT_STAMP = "kept:"


class StoreView:
    """The `LedgerView` over the ledger; every question is asked in the store's thread."""

    def __init__(self, ledger: Ledger, writer: Writer) -> None:
        self._ledger = ledger
        self._writer = writer

    async def known(self, client_order_ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that have a row."""
        ids = list(client_order_ids)
        return await self._writer.call(lambda: self._ledger.known(ids))

    async def expected_position(self, symbol: str, apart_from: str) -> Decimal | None:
        """The position that the settled rows add up to; None while another order is unsettled."""
        return await self._writer.call(
            lambda: self._ledger.expected_position(symbol, except_ids=(apart_from,))
        )

    async def sends_since(self, since_ms: int) -> Sequence[int]:
        """When orders were reserved since then."""
        return await self._writer.call(lambda: self._ledger.sends_since(since_ms))

    async def kept(self, key: str) -> str | None:
        """What was kept under `key`."""
        stamps = await self._writer.call(self._ledger.stamps)
        return stamps.get(KEPT_STAMP + key)

    async def keep(self, key: str, value: str) -> None:
        """On disk when this returns."""
        await self._writer.commit(Share(symbol="", stamps={KEPT_STAMP + key: value}))
