"""The statements of backup, verify and prune. Parameters only; nothing here is on the way of an order."""

from __future__ import annotations

COUNT_ROWS = "SELECT count(*) FROM executions"
