"""The hard limits: which order may become a reservation at all.

They are looked at inside the reserving transaction, over what is committed and what was reserved just
before, so that no two lanes can both use the last of it. Unsettled orders count as filled. Whatever goes
wrong while a limit is looked at refuses the order: a check that cannot be made is no permission.
"""

from __future__ import annotations

MINUTE_MS = 60_000
# The position that the account had when the store began, as decimal text; the symbol follows.
BASELINE_STAMP = "baseline:"
