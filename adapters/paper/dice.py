"""Dice that always fall alike: a roll is a function of the seed, the order and what is rolled for.

Pure. The order of the calls does not matter, so an order meets the same fate in a replay as it met live.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

_RANGE = 1 << 64
PARTS_MAX = 4
PART_GAP_MS_MAX = 5


class Dice:
    """The dice of one seed."""

    __slots__ = ("_seed",)

    def __init__(self, seed: int) -> None:
        self._seed = str(seed)

    def roll(self, client_order_id: str, purpose: str) -> float:
        """A number from 0 up to, but not including, 1."""
        return self._number(client_order_id, purpose) / _RANGE

    def hits(self, share: float, client_order_id: str, purpose: str) -> bool:
        """Whether the order is one of that share of all orders: none of them at 0, each one at 1."""
        return share > 0 and self.roll(client_order_id, purpose) < share

    def pick(self, count: int, client_order_id: str, purpose: str) -> int:
        """One of the numbers from 0 to count - 1."""
        return self._number(client_order_id, purpose) * count // _RANGE

    def _number(self, client_order_id: str, purpose: str) -> int:
        text = f"{self._seed}|{purpose}|{client_order_id}"
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def split(units: int, dice: Dice, client_order_id: str) -> Sequence[int]:
    """`units` whole steps in 2 to 4 parts of at least one step each; one part where there is one step."""
    count = min(units, 2 + dice.pick(PARTS_MAX - 1, client_order_id, "parts"))
    spare = units - count
    weights = [1 + dice.pick(8, client_order_id, f"part {number}") for number in range(count)]
    parts = [1 + spare * weight // sum(weights) for weight in weights]
    parts[-1] += units - sum(parts)
    return parts


def gaps_ms(count: int, dice: Dice, client_order_id: str) -> Sequence[int]:
    """When each of the parts fills, in milliseconds after the first: a few apart."""
    moments = [0]
    for number in range(1, count):
        moments.append(moments[-1] + 1 + dice.pick(PART_GAP_MS_MAX, client_order_id, f"gap {number}"))
    return moments
