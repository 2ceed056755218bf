"""Rules over what devices said at one instant: many devices at once, a finding a run and day."""

from typing import Any

import numpy as np
import pytest

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.vee.rules_instants import Instants, PhaseReads, find_phase_faults, find_tou_mismatches

DAYS = np.array([0, 86_400, 172_800])
POWER_MAX_W = 41_400  # 60 A at 230 V on three phases


def phases(
    voltage: list[list[int]],
    current: list[list[int]],
    power_w: list[int],
    *,
    device: list[int] | None = None,
    at_s: list[int] | None = None,
    **changed: int,
) -> list[Finding]:
    """Return what is found in rows of volts, amperes and watts."""
    count = len(power_w)
    reads = PhaseReads(
        Instants(np.array(device or [5] * count), np.array(at_s or range(100, 100 + count))),
        np.array(voltage) * 1000,
        np.array(current) * 1000,
        np.array(power_w),
        np.ones((count, len(voltage[0])), dtype=np.bool_),
    )
    return find_phase_faults(reads, day_bounds_s=DAYS, power_max_w=np.full(count, POWER_MAX_W), **changed)


@pytest.mark.parametrize(
    ("voltage", "current", "power_w", "rules"),
    [
        ([230, 231, 229], [20, 21, 19], 10_000, []),
        ([230, 0, 229], [20, 21, 19], 10_000, ["vee.voltage-missing"]),
        ([230, 0, 229], [20, 0, 19], 10_000, ["vee.current-imbalance"]),
        ([230, 0, 229], [2, 0, 2], 1000, []),
        ([230, 231, 229], [20, 21, 19], -10_000, ["vee.reverse-power"]),
        ([230], [20], 1000, []),
    ],
)
def test_phases_tell_of_tampering(
    voltage: list[int], current: list[int], power_w: int, rules: list[str]
) -> None:
    assert [found.rule for found in phases([voltage], [current], [power_w])] == rules


def test_a_lost_voltage_names_its_phase() -> None:
    (found,) = phases([[230, 0, 230]] * 2, [[9, 9, 9]] * 2, [10, 10])
    assert found.evidence == {"read_count": 2, "power_min_w": 10, "voltage_l2_mv": 0, "current_l2_ma": 9000}
    assert (found.channel_id, found.starts_at_s, found.ends_at_s) == (5, 100, 102)


def test_the_secondary_of_a_voltage_transformer_is_no_lost_voltage() -> None:
    assert phases([[58, 58, 58]], [[9, 9, 9]], [1000])
    assert not phases([[58, 58, 58]], [[3, 3, 3]], [500], voltage_nominal_v=58)


def test_runs_end_with_the_device_the_day_and_a_good_read() -> None:
    device = [1, 1, 1, 1, 2, 2]
    at_s = [86_300, 86_399, 86_400, 86_500, 86_500, 86_600]
    power_w = [-9000, -9000, -9000, 100, -9000, -9000]
    found = phases([[230] * 3] * 6, [[5] * 3] * 6, power_w, device=device, at_s=at_s)
    assert [(each.channel_id, each.starts_at_s, each.evidence["read_count"]) for each in found] == [
        (1, 86_300, 2),
        (1, 86_400, 1),
        (2, 86_500, 2),
    ]


def rates(total: list[int], parts: list[list[int]], modulus: int = 0) -> list[Finding]:
    """Return what is found in registers of milliwatt-hours in steps of ten."""
    count = len(total)
    return find_tou_mismatches(
        Instants(np.full(count, 5), np.arange(count)),
        day_bounds_s=DAYS,
        total_milliwh=np.array(total),
        rates_milliwh=np.array(parts),
        resolution_milliwh=np.full(count, 10),
        modulus_milliwh=np.full(count, modulus),
    )


def test_each_register_may_drop_its_own_remainder() -> None:
    assert not rates([1000, 1000], [[500, 470], [530, 500]])
    (found,) = rates([1000, 1000, 1000], [[500, 460], [500, 450], [500, 500]])
    expected: dict[str, Any] = {"total_milliwh": 1000, "difference_milliwh": 40, "tolerance_milliwh": 30}
    assert found.evidence == {"read_count": 2, **expected}
    assert [found.evidence["difference_milliwh"] for found in rates([1000], [[600, 440]])] == [-40]


def test_registers_start_again_at_times_of_their_own() -> None:
    assert rates([40], [[800, 240]])
    assert not rates([40], [[800, 240]], modulus=1000)
    assert not rates([900], [[950, 950]], modulus=1000)
    assert rates([40], [[800, 190]], modulus=1000)


def test_no_reads_find_nothing() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert Instants(nothing, nothing).runs(np.zeros(0, dtype=np.bool_), DAYS) == []
