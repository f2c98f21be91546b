"""Where a worker on this host is asked."""

from __future__ import annotations

_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def asked_at(host: str) -> str:
    """The address to ask a worker at that listens on `host`: what listens everywhere is asked on loopback."""
    return _EVERYWHERE.get(host, host)
