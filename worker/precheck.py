"""Pre-checks: whether a signal's own state denies it, although its gate let it pass.

Pure. What a signal does not say never denies it, and which weak signals are kept is decided by a hash
of the id, so that a replay decides alike, in every process, for ever.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from config.settings import Execution
from streams.signal import Signal

# Denied for what the signal says about itself: counted in executor_pre_deny_total.
PRE_DENY_CODES = ("warmup", "guard_reason", "low_consistency")
# Thinned out, one in `keep_one_in` is executed: counted in executor_throttle_total.
SAMPLED_CODES = ("consistency_sampled", "weak_signal_sampled")


class PrecheckRules(msgspec.Struct, frozen=True):
    """The part of the settings that decides here."""

    critical_reasons: frozenset[str]
    consistency_min: float
    consistency_full: float
    keep_one_in: int


class Denial(msgspec.Struct, frozen=True):
    """Why a signal is skipped. `throttled` tells one that was thinned out from one that was refused."""

    code: str
    text: str
    throttled: bool


_WARMUP = Denial("warmup", "the producer was warming up", throttled=False)


def precheck_rules(execution: Execution) -> PrecheckRules | None:
    """The rules in force; None where the checks are off."""
    if not execution.precheck_on:
        return None
    settings = execution.precheck
    return PrecheckRules(
        critical_reasons=frozenset(_reasons(",".join(settings.critical_guard_reasons))),
        consistency_min=settings.consistency_min,
        consistency_full=settings.consistency_full,
        keep_one_in=settings.keep_one_in,
    )


def precheck(signal: Signal, rules: PrecheckRules) -> Denial | None:
    """What denies `signal`, the first rule that applies; None: nothing does."""
    if signal.warmup:
        return _WARMUP
    if signal.guard_reason and (denial := _guard(signal.guard_reason, rules)) is not None:
        return denial
    consistency = signal.consistency
    if consistency is not None and consistency < rules.consistency_full:
        if consistency < rules.consistency_min:
            text = f"its consistency {consistency:.4g} is below {rules.consistency_min:g}"
            return Denial("low_consistency", text, throttled=False)
        if not kept(signal.signal_id, rules.keep_one_in):
            text = (
                f"its consistency {consistency:.4g} is below {rules.consistency_full:g}: "
                f"of such signals one in {rules.keep_one_in} is executed"
            )
            return Denial("consistency_sampled", text, throttled=True)
    if signal.weak_signal_throttle and not kept(signal.signal_id, rules.keep_one_in):
        text = f"the producer throttles weak signals: of these one in {rules.keep_one_in} is executed"
        return Denial("weak_signal_sampled", text, throttled=True)
    return None


def kept(signal_id: str, keep_one_in: int) -> bool:
    """Whether this is the one signal in `keep_one_in`; the same answer for the same id, always."""
    return crc32(signal_id.encode()) % keep_one_in == 0


def _guard(guard_reason: str, rules: PrecheckRules) -> Denial | None:
    critical = [reason for reason in _reasons(guard_reason) if reason in rules.critical_reasons]
    if not critical:
        return None
    return Denial("guard_reason", f"the producer's guard says {', '.join(critical)}", throttled=False)


def _reasons(text: str) -> list[str]:
    """The reasons of a text such as `warmup,low_consistency`."""
    return [reason for part in text.split(",") if (reason := part.strip())]
