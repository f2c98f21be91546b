"""Exact decimal arithmetic on the exchange's grids: minimum + k * step.

Pure. Everything is computed in whole units of a common power of ten, so no context precision, exponent
or rounding mode of the process can touch a quantity or a price.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_FLOOR, Context, Decimal
from functools import lru_cache
from math import gcd

import msgspec

# Beyond these a number is no price and no quantity of any market, and big integers would get slow.
_MAGNITUDE_MAX = 30
_EXPONENT_MIN = -100
# Enough for every product and difference of two such numbers.
_EXACT = Context(prec=400, rounding=ROUND_FLOOR)
_QUOTIENT = Context(prec=18, rounding=ROUND_DOWN)


class Grid(msgspec.Struct, frozen=True):
    """The values minimum + k * step up to maximum; a step or maximum of 0 is not applied."""

    step: Decimal = Decimal(0)
    minimum: Decimal = Decimal(0)
    maximum: Decimal = Decimal(0)

    def holds(self, value: Decimal) -> bool:
        """Whether `value` is within the bounds; the step is not asked."""
        return value >= self.minimum and (not self.maximum or value <= self.maximum)


def usable(value: Decimal) -> bool:
    """Whether it is a number above zero, of a size that trading knows."""
    return value.is_finite() and value > 0 and fits(value)


def fits(value: Decimal) -> bool:
    """Whether a finite number is of a size that trading knows; zero is."""
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), value
    return not value or (value.adjusted() <= _MAGNITUDE_MAX and exponent >= _EXPONENT_MIN)


def plain(value: Decimal) -> str:
    """Decimal text without exponent, without zeros that say nothing, and without a negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def canonical(value: Decimal) -> Decimal:
    """The same number as `plain` writes it."""
    return Decimal(plain(value))


def difference(wanted: Decimal, sent: Decimal) -> str:
    """Wanted minus sent, exactly, as plain text."""
    return plain(_EXACT.subtract(wanted, sent))


# Exact sums, differences (the first less the second) and products, and the quotient to 18 significant digits,
# rounded down. They are the contexts' own methods: a function around each would take as long again.
exact_sum = _EXACT.add
exact_difference = _EXACT.subtract
product = _EXACT.multiply
quotient = _QUOTIENT.divide


def floor_on(grids: tuple[Grid, ...], wanted: Decimal, *, places: int) -> Decimal | None:
    """The largest value not above `wanted` that is on every grid, bounds aside; None: no value is on all.

    Where no grid has a step, it is cut after `places` decimal places.
    """
    common = _common(grids, places)
    if common is None:
        return None
    offset, period, exponent = common
    units = _units(wanted, exponent)
    return canonical(_decimal(units - (units - offset) % period, exponent))


def places_on(grids: tuple[Grid, ...], *, places: int) -> int | None:
    """How many decimal places a value may have, where that is all that the steps ask; None: it is not."""
    common = _common(grids, places)
    return -common[2] if common is not None and common[1] == 1 else None


@lru_cache(maxsize=1_024)
def _common(grids: tuple[Grid, ...], places: int) -> tuple[int, int, int] | None:
    """Offset and period of the values that are on every grid, in units of 10 ** the third; None: no value is.

    The rules of a symbol change once a day; each order asks.
    """
    stepped = [grid for grid in grids if grid.step] or [Grid(step=Decimal(1).scaleb(-places))]
    exponent = min(_exponent(number) for grid in stepped for number in (grid.step, grid.minimum))
    offset, period = 0, 1
    for grid in stepped:
        both = _meet(offset, period, _units(grid.minimum, exponent), _units(grid.step, exponent))
        if both is None:
            return None
        offset, period = both
    return offset, period, exponent


def nearest_on(grid: Grid, wanted: Decimal, *, places: int) -> Decimal:
    """The value of the grid closest to `wanted`, the upper one of two; bounds aside."""
    step = grid.step or Decimal(1).scaleb(-places)
    origin = grid.minimum if grid.step else Decimal(0)
    exponent = min(_exponent(step), _exponent(origin), _exponent(wanted))
    offset, period = _units(origin, exponent), _units(step, exponent)
    count = (2 * (_units(wanted, exponent) - offset) + period) // (2 * period)
    return canonical(_decimal(offset + count * period, exponent))


def _meet(offset: int, period: int, other_offset: int, other_period: int) -> tuple[int, int] | None:
    """Offset and period of the values on both grids, by the Chinese remainder theorem."""
    common = gcd(period, other_period)
    if (other_offset - offset) % common:
        return None
    turn = other_period // common
    count = (other_offset - offset) // common * pow(period // common, -1, turn) % turn
    return offset + count * period, period * turn


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), value
    return exponent if value else 0


def _units(value: Decimal, exponent: int) -> int:
    """How many whole units of 10 ** exponent are in `value`, rounded down."""
    return int(_EXACT.to_integral_value(_EXACT.scaleb(value, -exponent)))


def _decimal(units: int, exponent: int) -> Decimal:
    return _EXACT.scaleb(Decimal(units), exponent)
