"""Every promise of the contract, in the order of its chapters."""

from __future__ import annotations

from rig.promise import Promise
from rig.promises import filling, lanes, overlapping, preparing, restarting, resting, submitting

PROMISES = [
    promise
    for chapter in (preparing, submitting, filling, resting, restarting, overlapping, lanes)
    for promise in vars(chapter).values()
    if isinstance(promise, Promise)
]
