"""What is wrong with a configuration, all of it at once.

An operator who mends one mistake per start gives up; so every layer is read to its end and each
problem is one sentence that says what is, what may be, and where.
"""

from __future__ import annotations

from collections.abc import Iterable

DEFAULTS_NAME = "config/defaults.yaml"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds one sentence each, in the order they were found."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


def located(sentence: str, where: str, see: str = DEFAULTS_NAME) -> str:
    """`sentence` with the place that an operator has to open, and the place that explains the key."""
    return f"{sentence} (see {see})" if where == see else f"{sentence} ({where}; see {see})"
