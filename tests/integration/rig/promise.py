"""A promise: one statement of the contract, tried on a stand; who has to keep it is decided by traits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rig.stand import Setup, Stand, Traits

Trial = Callable[[Stand], Awaitable[None]]


@dataclass(frozen=True)
class Promise:
    """`keep` raises AssertionError where the stand's adapter breaks it; its name is the sentence."""

    keep: Trial
    needs: tuple[str, ...]
    setup: Setup
    ways_max: int | None

    @property
    def name(self) -> str:
        """The sentence."""
        return self.keep.__name__

    def binds(self, traits: Traits) -> bool:
        """Whether an adapter with these traits has to keep it."""
        return all(has(traits, need) for need in self.needs)

    def setups(self, traits: Traits) -> tuple[Setup, ...]:
        """One for each way in which answers get lost, where it speaks of that."""
        if "loses" not in self.needs:
            return (self.setup,)
        ways = traits.loses[: self.ways_max]
        return tuple(Setup(self.setup.parts, self.setup.shallow, loss) for loss in ways)


def has(traits: Traits, need: str) -> bool:
    """Whether they have a trait, or have it not where the need says so: `!account`."""
    return bool(getattr(traits, need.removeprefix("!"))) != need.startswith("!")


def promise(
    *needs: str, parts: bool = False, shallow: bool = False, ways_max: int | None = None
) -> Callable[[Trial], Promise]:
    """Makes a promise of adapters that have all traits of `needs`, on a venue that behaves like this.

    A need with `!` is of those that lack the trait. Of the ways in which answers get lost the first
    `ways_max` are tried.
    """
    return lambda keep: Promise(keep, needs, Setup(parts, shallow), ways_max)
