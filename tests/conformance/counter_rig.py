"""Uses invocation counters until it is killed: `python counter_rig.py LOG reserve-ahead|save-later|prepare`.

WATTKEEPER_DATA names the folder of the registry. Each counter is written to LOG before the next is taken, as
a meter would have seen it. `save-later` is the planted fault: counters are used and saved now and then.
"""

import os
import sys
from collections.abc import Callable

METER_SERIAL = "K1"
SAVED_EVERY_COUNT = 20_000


def main() -> None:
    from wattkeeper.bootstrap import setup_django

    setup_django()
    if sys.argv[2] == "prepare":
        prepare()
        return
    from wattkeeper.data.registry.models import Meter
    from wattkeeper.drivers.dlms_three_phase.counters import Counters

    meter_id = Meter.objects.get(serial_number=METER_SERIAL).id
    take = Counters(reservation(meter_id)).take if sys.argv[2] == "reserve-ahead" else save_later(meter_id)
    log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        os.write(log, take().to_bytes(4, "big"))


def prepare() -> None:
    """Make a registry with one meter."""
    from datetime import UTC, datetime

    from django.core.management import call_command

    from wattkeeper.data.registry.models import Meter, Site, Tenant

    call_command("migrate", verbosity=0)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    tenant = Tenant.objects.create(name="rig", created_at=now)
    site = Site.objects.create(tenant=tenant, code="S", name="S", kind="FACTORY", time_zone="UTC")
    Meter.objects.create(tenant=tenant, site=site, serial_number=METER_SERIAL, family="dlms_three_phase")


def reservation(meter_id: int) -> Callable[[int], int]:
    """The product's own."""
    from wattkeeper.data.collection.plans import reserve_counters

    return lambda count: reserve_counters(meter_id=meter_id, count=count)


def save_later(meter_id: int) -> Callable[[], int]:
    """Use a counter, and save how far one has come now and then."""
    from wattkeeper.data.collection.models import InvocationCounter

    row, _ = InvocationCounter.objects.get_or_create(meter_id=meter_id)

    def take() -> int:
        row.next_counter += 1
        if row.next_counter % SAVED_EVERY_COUNT == 0:
            row.save()
        return row.next_counter - 1

    return take


if __name__ == "__main__":
    main()
