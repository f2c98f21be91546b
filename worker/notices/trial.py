"""What `notify test` prints: each receiver by its name, and whether it took the message. No address."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from config.load import Loaded
from config.notify_settings import Notify
from config.seams import SystemClock
from worker.exits import Exit
from worker.notices.herald import herald_of
from worker.notices.places import PlacesError, places_of
from worker.notices.say import say_to_all

KINDS = {"permission": Exit.PERMISSION, "configuration": Exit.CONFIGURATION}


def print_trial(loaded: Loaded, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print a row for each receiver; 0 when all of them took it, 69 otherwise, 78 without any."""
    execution, clock = loaded.settings.execution, SystemClock()
    notify = execution.notify
    try:
        places = places_of(notify, environ)
        herald = herald_of(notify, places, mode=execution.mode.value, clock=clock)
    except PlacesError as error:
        sys.stderr.write(f"execution-worker: {error}\n")
        return KINDS[error.kind]
    if not herald.is_needed:
        sys.stderr.write(f"execution-worker: {nobody(notify)}\n")
        return Exit.CONFIGURATION
    found = say_to_all(herald, clock)
    if as_json:
        rows = [{"receiver": name, "ok": why is None, "why": why} for name, why in found]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        width = max(len(name) for name, _ in found)
        for name, why in found:
            sys.stdout.write(
                f"{'ok' if why is None else 'failed':<6}  {name:<{width}}  {why or ''}".rstrip() + "\n"
            )
    return Exit.OK if all(why is None for _, why in found) else Exit.EXCHANGE_UNAVAILABLE


def nobody(notify: Notify) -> str:
    """Why nobody is told of anything, and what to do."""
    if not notify.enabled:
        return "execution.notify.enabled is false: nobody is told of anything"
    return (
        f"nobody is told of anything: set {notify.webhook.url_env} in the environment, or "
        "execution.notify.webhook.url_file to a file with mode 0600 (docs/notifications.md)"
    )
