"""What the rules that no delivery triggers cost: an hourly look at the instants and the days of N meters.

    python benchmarks/standing_rules.py [--meters 1000] [--strict]

Each meter has a total register with four rates, voltages and currents of three phases, read every quarter of
an hour for two days (V21, V25), and import and reactive energy in intervals for two months with their days
and months (V11, V12, V20 and what else judges days), by a profile that the total register confirms at the
ends of the months (V06). One meter's rates do not sum to its total, one has lost a phase, one has reactive
energy only for hours, one has a month four times the month before, the register of one went 3 kWh farther
than its month. The figure is CPU seconds of this process and the store's for one look at 10 000 meters; a
look is due every hour, so as many seconds of 7 200 on two cores. Exactly the planted faults must be found.
"""

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from mdm_rig import calib, finish, parser_of, with_goals
from store_rig import own_store

ZONE_S = 8 * 3600
DAY_S, STEP_S, SLOTS = 86_400, 900, 96
MAY_S = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp()) - ZONE_S
DAYS, MAY_DAYS, READ_DAYS = 61, 31, 2
NOW_S = MAY_S + DAYS * DAY_S + 600
LIMIT_S = 360.0  # a twentieth of two cores
LOOKED_AT = 10_000
FIRST_WH = 3_221_500  # of a total register, so that the last two days of it go on from the month before
RATES_METER, PHASE_METER, REACTIVE_METER, MONTH_METER, SUM_METER = 11, 22, 33, 44, 48
KINDS = (
    "energy_import_register_kwh",
    *(f"energy_import_t{rate}_register_kwh" for rate in range(1, 5)),
    *(f"voltage_l{phase}_v" for phase in range(1, 4)),
    *(f"current_l{phase}_a" for phase in range(1, 4)),
    "energy_import_interval_kwh",
)


def fill_registry(count: int) -> None:
    """Meter m + 1 has channels 12 m + 1 to 12 m + 12 in the order of `KINDS`, series 2 m + 1 and 2 m + 2."""
    from wattkeeper.data.registry.models import Channel, Installation, Meter, Series, Site, Tenant, UsagePoint

    at = datetime.fromtimestamp(MAY_S, UTC) - timedelta(days=400)
    own = {"tenant": Tenant.objects.create(id=1, name="bench", created_at=at)}
    place = {"name": "S", "kind": "INDUSTRIAL", "time_zone": "Asia/Shanghai"}
    site = Site.objects.create(id=1, code="S", **own, **place)
    ids = range(1, count + 1)
    UsagePoint.objects.bulk_create(
        (UsagePoint(id=i, site=site, code=f"U{i}", plain_name="", **own) for i in ids), 2000
    )
    Meter.objects.bulk_create((Meter(id=i, site=site, serial_number=str(i), **own) for i in ids), 2000)
    Channel.objects.bulk_create(
        (
            Channel(
                meter_id=i,
                reading_type=kind,
                step_numerator=1,
                step_denominator=1000,
                register_digits=9 if kind.endswith("register_kwh") else None,
                has_reads=True,
                **own,
            )
            for i in ids
            for kind in KINDS
        ),
        2000,
    )
    Series.objects.bulk_create(
        (
            Series(usage_point_id=i, quantity=quantity, interval_s=STEP_S, **own)
            for i in ids
            for quantity in ("energy_import", "energy_reactive_import")
        ),
        2000,
    )
    Installation.objects.bulk_create(
        (Installation(meter_id=i, usage_point_id=i, starts_at=at, recorded_at=at, **own) for i in ids), 2000
    )


def fill_reads(client: Any, count: int) -> None:
    """Store two days of what the meters said of themselves, and the total register where months end."""
    from wattkeeper.store.api import RawBatch

    instants = READ_DAYS * SLOTS
    at_s = NOW_S - 600 - READ_DAYS * DAY_S + STEP_S * np.arange(instants, dtype=np.int64)
    ends_s = MAY_S + DAY_S * np.array([0, MAY_DAYS, DAYS], dtype=np.int64)
    for meter in range(0, count, 200):
        ids = np.arange(meter, min(meter + 200, count), dtype=np.int64)
        value = np.zeros((len(ids), len(KINDS), instants), dtype=np.int64)
        value[:, 1:5] = 1_000_000 + 250 * np.arange(instants)  # Wh: 1 kW in each rate
        value[:, 0] = value[:, 1:5].sum(axis=1)
        value[:, 5:8], value[:, 8:11], value[:, 11] = 230_000, 5_800, 250  # mV, mA, Wh
        value[ids == RATES_METER, 1] += 5_000_000
        value[ids == PHASE_METER, 6] = 0
        days = energies(ids)[:, 0].sum(axis=2) // 1000
        months = np.stack((0 * ids, days[:, :MAY_DAYS].sum(axis=1), days[:, MAY_DAYS:].sum(axis=1)), axis=1)
        months[ids == SUM_METER, 2] += 3000
        first_id = len(KINDS) * ids + 1
        every_id = first_id[0] + np.arange(len(ids) * len(KINDS))
        parts = (
            (np.repeat(every_id, instants), np.tile(at_s, len(every_id)), value.ravel()),
            (np.repeat(first_id, 3), np.tile(ends_s, len(ids)), FIRST_WH + months.cumsum(axis=1).ravel()),
        )
        channel_id, measured_at_s, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        nothing = np.zeros(len(counts), dtype=np.int64)
        client.insert_raw(
            [
                RawBatch(
                    1,
                    meter + 1,
                    NOW_S,
                    channel_id,
                    measured_at_s,
                    counts,
                    nothing,
                    nothing + 1,
                    nothing - 1,
                )
            ]
        )


def energies(ids: Any) -> Any:
    """Return milliwatt-hours (meters, 2, days, slots): 1 kW by day, a tenth of it by night; 0.3 kvar."""
    energy = np.full((len(ids), 2, DAYS, SLOTS), 75_000, dtype=np.int64)
    energy[:, 0] = np.where((np.arange(SLOTS) >= 28) & (np.arange(SLOTS) < 88), 250_000, 25_000)
    energy[ids == REACTIVE_METER, 0, -2, 40:60] = 0
    energy[ids == MONTH_METER, 0, MAY_DAYS:] *= 4
    return energy


def fill_values(client: Any, count: int) -> None:
    """Store intervals, days and months."""
    from wattkeeper.core.readings.rollups import RollUpRows
    from wattkeeper.store.api import Measurements

    day_s = MAY_S + DAY_S * np.arange(DAYS, dtype=np.int64)
    at_s = (day_s[:, None] + STEP_S * np.arange(SLOTS)).ravel()
    month_s, month_count = day_s[[0, MAY_DAYS]], SLOTS * np.array([MAY_DAYS, DAYS - MAY_DAYS])
    for meter in range(0, count, 100):
        ids = np.arange(meter, min(meter + 100, count), dtype=np.int64)
        energy, series = energies(ids), 2 * ids[0] + 1 + np.arange(2 * len(ids), dtype=np.int64)
        nothing = np.zeros(energy.size, dtype=np.int64)
        client.insert_measurements(
            1,
            Measurements(
                np.repeat(series, DAYS * SLOTS),
                np.tile(at_s, len(series)),
                energy.ravel(),
                nothing + 1,
                nothing,
                nothing,
                nothing + 1,
            ),
        )
        days = energy.sum(axis=3).reshape(len(series), DAYS)
        months = np.stack((days[:, :MAY_DAYS].sum(axis=1), days[:, MAY_DAYS:].sum(axis=1)), axis=1)
        for grain, starts_s, expected, sums in (
            (1, day_s, np.full(DAYS, SLOTS), days),
            (2, month_s, month_count, months),
        ):
            counts = np.tile(expected, len(series)).astype(np.int64)
            none = np.zeros(len(counts), dtype=np.int64)
            own = np.repeat(series, len(starts_s)), np.tile(starts_s, len(series))
            client.insert_roll_ups(
                1, 1, RollUpRows(none + grain, *own, counts, sums.ravel(), counts, *(none,) * 4, none + 1)
            )


def looked(store: Any, look: Callable[[], object]) -> tuple[float, float]:
    """Return CPU seconds of both processes and wall seconds of a look, the fewest of three."""
    taken = []
    for _ in range(3):
        wall, cpu = time.monotonic(), time.process_time() + store.cpu_s()
        look()
        taken.append((time.process_time() + store.cpu_s() - cpu, time.monotonic() - wall))
    return min(taken)


def main() -> None:
    """Fill, look, compare, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--meters", type=int, default=1000)
    options = parser.parse_args()
    count = max(options.meters, 50)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WATTKEEPER_DATA"] = folder
        from wattkeeper.bootstrap import setup_django

        setup_django()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from wattkeeper.bootstrap.instant_rules import judge_instants
        from wattkeeper.bootstrap.period_rules import judge_periods
        from wattkeeper.core.vee.rule_set import RuleSet
        from wattkeeper.data.alarms.models import Finding

        fill_registry(count)
        now = datetime.fromtimestamp(NOW_S, UTC)
        own = {"tenant_id": 1, "now": now, "rule_set": RuleSet()}
        with own_store(Path(folder)) as store:
            fill_reads(store.client, count)
            fill_values(store.client, count)
            store.settle_s()
            instants = looked(store, lambda: judge_instants(store.client, day_count=READ_DAYS, **own))
            periods = looked(store, lambda: judge_periods(store.client, **own))
        found = set(Finding.objects.filter(state="OPEN").values_list("rule", "subject_key"))
    planted = {
        ("vee.tou-sum", f"meter:{RATES_METER + 1}"),
        ("vee.voltage-missing", f"meter:{PHASE_METER + 1}"),
        ("vee.reactive-only", f"series:{2 * REACTIVE_METER + 1}"),
        ("vee.high-usage", f"series:{2 * MONTH_METER + 1}"),
        ("vee.peak-change", f"series:{2 * MONTH_METER + 1}"),
        ("vee.month-sum", f"series:{2 * SUM_METER + 1}"),
    }
    each = (instants[0] + periods[0]) / count
    result = {
        "figure": round(each * LOOKED_AT, 1),
        "unit": f"CPU seconds, worker and store, for a look at {LOOKED_AT} meters",
        "n": count,
        "is_right": found == planted,
        "not_found": sorted(map(str, planted - found)),
        "found_falsely": sorted(map(str, found - planted))[:10],
        "cpu_ms_per_meter": {
            "instants": round(instants[0] / count * 1e3, 3),
            "periods": round(periods[0] / count * 1e3, 3),
        },
        "wall_s": {"instants": round(instants[1], 2), "periods": round(periods[1], 2)},
        "calib_s": calib(),
    }
    finish(with_goals(result, most={"figure": LIMIT_S}), is_strict=options.strict)


if __name__ == "__main__":
    main()
