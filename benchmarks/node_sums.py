"""A day and a month of all meters, by site and by customer, as the energy page asks for them.

A store process of its own holds the days of N meters for 31 days; the registry (SQLite) has N usage points at
50 sites, each of a customer, 1 % of which moved out at noon of a day in the month. What is timed is the whole
answer: registry, store, arrays. The oracle is a plain sum over the values that were made, and the moved
customers' two halves of their day. Usage: ``node_sums.py [N] [--strict]`` (default 10 000).
"""

import os
import resource
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from mdm_rig import calib, finish, parser_of, with_goals
from store_rig import own_store

ZONE_S = 8 * 3600
FIRST_S = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) - ZONE_S
DAYS, SITES, MOVED_DAY = 31, 50, 10
LIMIT_S = 0.5
DAY_S, STEP_S = 86_400, 900


def energies(count: int) -> np.ndarray:
    """Return the energy of every interval of a day, (meters, 96), milliwatt-hours: easy to sum."""
    meter = np.arange(count, dtype=np.int64)[:, None]
    at = np.arange(96, dtype=np.int64)[None]
    return (meter % 997 + 1) * 1000 + at


def fill_registry(count: int) -> None:
    """Make N usage points with a customer each; every hundredth customer moved out on a day at noon."""
    from wattkeeper.data.registry.models import Installation, Meter, Series, Site, Tenant, UsagePoint
    from wattkeeper.data.virtual.models import Node, PointOfCustomer

    at = datetime.fromtimestamp(FIRST_S, UTC)
    tenant = Tenant.objects.create(id=1, name="bench", created_at=at)
    own = {"tenant": tenant, "starts_at": at, "recorded_at": at}
    Site.objects.bulk_create(
        Site(
            id=i + 1, tenant=tenant, code=f"S{i}", name=f"S{i}", kind="RESIDENTIAL", time_zone="Asia/Shanghai"
        )
        for i in range(SITES)
    )
    ids = range(1, count + 1)
    sites = {i: i % SITES + 1 for i in ids}
    UsagePoint.objects.bulk_create(
        (UsagePoint(id=i, tenant=tenant, site_id=sites[i], code=f"U{i}", plain_name="") for i in ids), 2000
    )
    Meter.objects.bulk_create(
        (Meter(id=i, tenant=tenant, site_id=sites[i], serial_number=str(i)) for i in ids), 2000
    )
    Series.objects.bulk_create((Series(id=i, tenant=tenant, usage_point_id=i) for i in ids), 2000)
    Installation.objects.bulk_create((Installation(meter_id=i, usage_point_id=i, **own) for i in ids), 2000)
    Node.objects.bulk_create(
        (Node(id=i, tenant=tenant, kind="CUSTOMER", code=f"C{i}") for i in range(1, 2 * count + 1)), 2000
    )
    noon = at + timedelta(days=MOVED_DAY, hours=12)
    facts = []
    for i in ids:
        moved = i % 100 == 0
        facts.append(PointOfCustomer(whole_id=i, part_id=i, ends_at=noon if moved else None, **own))
        if moved:
            facts.append(PointOfCustomer(whole_id=count + i, part_id=i, **{**own, "starts_at": noon}))
    PointOfCustomer.objects.bulk_create(facts, 2000)


def fill_store(client, count: int) -> None:  # type: ignore[no-untyped-def]
    """Store the days of all meters, and the intervals of the day on which some customers moved."""
    from wattkeeper.core.readings.rollups import RollUpRows
    from wattkeeper.store.api import Measurements

    day_milliwh = energies(count).sum(axis=1)
    for start in range(0, count, 20_000):
        ids = np.arange(start, min(start + 20_000, count), dtype=np.int64)
        rows = len(ids) * DAYS
        nothing = np.zeros(rows, np.int64)
        days = RollUpRows(
            nothing + 1,
            np.repeat(ids + 1, DAYS),
            np.tile(FIRST_S + DAY_S * np.arange(DAYS), len(ids)),
            nothing + 96,
            np.repeat(day_milliwh[ids], DAYS),
            nothing + 96,
            *(nothing,) * 5,
        )
        client.insert_roll_ups(1, 1, days)
    moved = np.arange(99, count, 100, dtype=np.int64)
    starts_at_s = np.tile(FIRST_S + MOVED_DAY * DAY_S + STEP_S * np.arange(96), len(moved))
    nothing = np.zeros(len(starts_at_s), np.int64)
    values = energies(count)[moved].ravel()
    client.insert_measurements(
        1,
        Measurements(
            np.repeat(moved + 1, 96), starts_at_s, values, nothing + 1, nothing + 1, nothing, nothing + 1
        ),
    )


def asked(store, tree: str, first: int, end: int):  # type: ignore[no-untyped-def]
    """Answer as the page does; sums, CPU seconds of both processes, wall seconds: the fewest of five."""
    from wattkeeper.data.virtual.nodes import ROOT
    from wattkeeper.interfaces.reads.aggregation import Question, add_up

    day = date(2026, 6, 1)
    question = Question(tree, ROOT, "day", day + timedelta(days=first), day + timedelta(days=end))
    now = datetime(2026, 7, 10, tzinfo=UTC)
    taken = []
    for _ in range(5):
        wall, cpu = time.monotonic(), time.process_time() + store.cpu_s()
        sums = add_up(store.client, tenant_id=1, question=question, now=now)
        taken.append((time.process_time() + store.cpu_s() - cpu, time.monotonic() - wall))
    return sums, min(taken)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("meters", type=int, nargs="?", default=10_000)
    options = parser.parse_args()
    count = options.meters
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WATTKEEPER_DATA"] = folder
        from wattkeeper.bootstrap import setup_django

        setup_django()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        fill_registry(count)
        with own_store(Path(folder)) as store:
            fill_store(store.client, count)
            energy = energies(count)
            one_day = int(energy.sum())
            by_site, site = asked(store, "site", 5, 6)
            by_customer, moved_day = asked(store, "customer", MOVED_DAY, MOVED_DAY + 1)
            month, month_taken = asked(store, "site", 0, DAYS - 1)
            moved = np.arange(99, count, 100)
            halves = {int(i + 1): int(energy[i, :48].sum()) for i in moved}
            told = {
                part & (2**40 - 1): int(value)
                for part, value in zip(by_customer.parts, by_customer.energy_milliwh[:, 0], strict=True)
            }
            is_right = int(by_site.energy_milliwh.sum()) == one_day == int(by_customer.energy_milliwh.sum())
            is_right &= int(month.energy_milliwh.sum()) == one_day * (DAYS - 1)
            is_right &= all(told[i] == half for i, half in halves.items())
            is_right &= int(by_site.missing_count.sum()) == 0 and int(by_site.due_count.sum()) == 96 * count
    names = ("day_by_site", "moved_day_by_customer", "month_of_days_by_site")
    taken = dict(zip(names, (site, moved_day, month_taken), strict=True))
    result = {
        "figure": round(site[0], 3),
        "unit": "CPU seconds, page and store, for a day's total of all meters by site",
        "n": count,
        "is_right": bool(is_right),
        "day_wall_s": round(max(site[1], moved_day[1]), 3),
        "cpu_s": {name: round(own[0], 3) for name, own in taken.items()},
        "wall_s": {name: round(own[1], 3) for name, own in taken.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "calib": calib(),
    }
    finish(with_goals(result, most={"figure": LIMIT_S, "day_wall_s": LIMIT_S}), is_strict=options.strict)


if __name__ == "__main__":
    main()
