"""What a drill says of many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def percentile(ascending: Sequence[Decimal], percent: int) -> Decimal:
    """The smallest value that so many percent do not exceed."""
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]
