"""What the worker shows of its shadow: the parity and the counts as metrics, and the doubts as conditions."""

from __future__ import annotations

from collections import Counter

from adapters.contract import ExecutionAdapter
from adapters.shadow import ShadowAdapter
from adapters.shadow_pairs import COUNTS, Count
from config.settings import Shadow
from worker.metrics import Metrics

REPORT = "execution-worker shadow report shows the pairs"


class ShadowWatch:
    """Looked at once a second; decides nothing and waits for nothing."""

    def __init__(self, shadow: ShadowAdapter, metrics: Metrics, *, parity_min: float) -> None:
        self._shadow = shadow
        self._metrics = metrics
        self._parity_min = parity_min
        self._told: Counter[Count] = Counter()
        self._low: str | None = None

    def look(self) -> dict[str, str | None]:
        """Bring the metrics up to date; each doubt with its sentence, None where there is none."""
        counts = self._shadow.counts
        for what in COUNTS:
            self._metrics.shadow_pairs(what, counts[what] - self._told[what])
            self._told[what] = counts[what]
        self._metrics.set_shadow_parity(self._shadow.parity.ratio)
        return {
            "shadow_parity": self._parity(),
            "shadow_venue": self._shadow.shadow_trouble,
            "shadow_files": self._shadow.keep_trouble,
        }

    def _parity(self) -> str | None:
        """The sentence of when it fell below; the same one until it has recovered, and not one a second."""
        parity = self._shadow.parity
        if parity.ratio >= self._parity_min:
            self._low = None
        elif self._low is None:
            self._low = (
                f"{parity.different} of the last {parity.compared} pairs differ, parity "
                f"{parity.ratio:.4f} is below {self._parity_min}: {REPORT}"
            )
        return self._low


def watch_of(adapter: ExecutionAdapter, metrics: Metrics, settings: Shadow) -> ShadowWatch | None:
    """The watch over a shadow; None where the adapter has none."""
    if not isinstance(adapter, ShadowAdapter):
        return None
    return ShadowWatch(adapter, metrics, parity_min=settings.parity_min)
