"""A worker that can be killed: `python job_worker.py FOLDER make|work`, on a database in FOLDER.

`make` builds homes with October's intervals and asks for their bills; `work` does jobs until none is left.
"""

import os
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
HOMES_COUNT = 24
LEASE_S = 1
STEP_S = 0.05
FIRST, END = date(2026, 10, 1), date(2026, 11, 1)


def slow_store() -> Any:
    """Return a store that holds the same intervals for every series, and takes its time."""
    import numpy as np

    from wattkeeper.core.kernel.quality import Provenance
    from wattkeeper.store.api import Measurements
    from wattkeeper.store.memory import MemoryReadingStore

    class Slow(MemoryReadingStore):
        def measurements(
            self, tenant_id: int, series_ids: Any, from_s: int, to_s: int, **_: Any
        ) -> Measurements:
            time.sleep(STEP_S)
            starts_at_s = np.arange(from_s, to_s, 900, dtype=np.int64)
            zeros = np.zeros_like(starts_at_s)
            measured = zeros + int(Provenance.MEASURED)
            return Measurements(
                zeros + series_ids[0], starts_at_s, zeros + 100_000, measured, zeros, zeros, zeros + 1
            )

    return Slow()


def make(services: Any) -> None:
    """Build the homes and ask for their bills."""
    from django.core.management import call_command

    from relational import LONG_AGO, make_people
    from wattkeeper.actions.billing.request_billing import request_billing
    from wattkeeper.actions.registry.add_meter import add_meter
    from wattkeeper.actions.registry.add_site import add_site
    from wattkeeper.actions.registry.add_usage_point import add_usage_point
    from wattkeeper.actions.registry.install_meter import install_meter
    from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
    from wattkeeper.actions.tariffs.set_contract import set_contract
    from wattkeeper.data.billing.models import TariffVersion
    from wattkeeper.interfaces.cli.demo.tariffs import RESIDENTIAL

    call_command("migrate", verbosity=0, interactive=False)
    people = make_people("ours")
    acting = {"actor": people.administrator, "now": services.now()}
    place = {"kind": "RESIDENTIAL", "time_zone": "Asia/Shanghai"}
    site_id = add_site(**acting, code="S", name="Court", **place)
    version_id = add_tariff_version(**acting, name="", document=RESIDENTIAL)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    for number in range(HOMES_COUNT):
        point_id = add_usage_point(**acting, site_id=site_id, code=f"U{number}", name=f"Flat {number}")
        serial = f"2601{number:08d}"
        meter_id = add_meter(
            **acting, services=services, site_id=site_id, serial_number=serial, family="dlt645_2007"
        )
        where = {"usage_point_id": point_id, "at": LONG_AGO}
        install_meter(**acting, services=services, meter_id=meter_id, **where)
        set_contract(**acting, tariff_id=tariff_id, **where)
    request_billing(**acting, first=FIRST, end=END)


def work(services: Any) -> None:
    """Do jobs until none is left to do, waiting for those that a dead worker still holds."""
    from wattkeeper.actions.jobs.run_job import run_job
    from wattkeeper.data.collection.models import Job

    while Job.objects.filter(ended_at__isnull=True).exists():
        run_job(services=services)
        time.sleep(0.05)


def main(folder: Path, what: str) -> None:
    """Make the homes, or work."""
    os.environ["WATTKEEPER_DATA"] = str(folder)
    from wattkeeper.bootstrap import setup_django

    setup_django()
    from wattkeeper.actions.services import Services
    from wattkeeper.data.collection import job_queue

    job_queue.LEASE_S = LEASE_S
    services = Services(now=lambda: datetime.now(UTC), data_folder=folder, store=slow_store())
    (make if what == "make" else work)(services)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
