"""Validation rules over registers, clocks and stamps: pure array functions."""

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.vee.rules_delivery import Deliveries

CLOCK_TOLERANCE_S = 180


def find_clock_errors(
    *, channel_id: Int64s, device_at_s: Int64s, reference_at_s: Int64s, tolerance_s: int = CLOCK_TOLERANCE_S
) -> list[Finding]:
    """V03 ``vee.clock``: a device's clock differs from the reference by more than `tolerance_s`.

    Default 180 s (California MDMA: three minutes). Arrays of shape (reads,).
    """
    offset_s = device_at_s - reference_at_s
    return [
        Finding(
            "vee.clock",
            starts_at_s=int(reference_at_s[i]),
            ends_at_s=int(reference_at_s[i]) + 1,
            evidence={"offset_s": int(offset_s[i]), "tolerance_s": tolerance_s},
            channel_id=int(channel_id[i]),
        )
        for i in np.flatnonzero(np.abs(offset_s) > tolerance_s)
    ]


def find_impossible_advances(
    *,
    channel_id: int,
    measured_at_s: Int64s,
    previous: Int64s,
    current: Int64s,
    register_modulus: int | None,
    advance_max: Int64s,
) -> list[Finding]:
    """V07 ``vee.register-advance``: a register went backwards, or further than the service can carry.

    Oracle and Itron: a rollover counts only up to the daily maximum. Values in counts, shape (reads,).
    """
    advance = register_advance(previous, current, register_modulus, advance_max)
    return [
        Finding(
            "vee.register-advance",
            starts_at_s=int(measured_at_s[i]),
            ends_at_s=int(measured_at_s[i]) + 1,
            evidence={
                "previous_value": int(previous[i]),
                "value": int(current[i]),
                "advance_max": int(advance_max[i]),
            },
            channel_id=channel_id,
        )
        for i in np.flatnonzero(advance < 0)
    ]


def find_impossible_instants(
    reads: Deliveries, *, now_s: int, installed_at_s: Int64s, future_tolerance_s: int = 600
) -> list[Finding]:
    """V27 ``vee.impossible-instant``: a read from the future, or from before the installation.

    A stamp up to `future_tolerance_s` ahead (default 600 s) is a clock matter, see V03. `installed_at_s`
    (reads,): of each read's channel. One finding for each channel and of the two, with the number of reads.
    """
    return [
        reads.finding("vee.impossible-instant", places, cause=cause, read_count=len(places))
        for cause, is_wrong in (
            ("future", reads.measured_at_s > now_s + future_tolerance_s),
            ("before-installation", reads.measured_at_s < installed_at_s),
        )
        for places in reads.by_channel(is_wrong)
    ]
