"""A registry with a pulse counter for each of two head-ends: `python -m conformance.carry_seed AT PORT PORT`.

They are installed at AT, epoch seconds. Prints the channel of each, by the head-end's name, as JSON.
"""

import json
import sys
from datetime import UTC, datetime

from wattkeeper.bootstrap import make_clock, setup_django


def main(at: datetime, ports: dict[str, int]) -> None:
    """Make tenant, people, site, links, meters and installations."""
    setup_django()
    from relational import make_people
    from wattkeeper.actions.registry.add_link import add_link
    from wattkeeper.actions.registry.add_meter import add_meter
    from wattkeeper.actions.registry.add_site import add_site
    from wattkeeper.actions.registry.add_usage_point import add_usage_point
    from wattkeeper.actions.registry.install_meter import install_meter
    from wattkeeper.bootstrap.services import make_services
    from wattkeeper.data.registry.models import Channel

    now = make_clock().now().replace(microsecond=0)
    services = make_services()
    actor = make_people("carry").operator
    site_id = add_site(actor=actor, now=now, code="S", name="S", kind="RESIDENTIAL", time_zone="UTC")
    channels = {}
    for name, port in ports.items():
        link_id = add_link(
            actor=actor, now=now, site_id=site_id, name=name, transport="PULSE_TCP",
            endpoint=f"127.0.0.1:{port}", headend=name,
        )  # fmt: skip
        point_id = add_usage_point(actor=actor, now=now, site_id=site_id, code=name, name=name)
        meter_id = add_meter(
            actor=actor, now=now, services=services, site_id=site_id, serial_number=name,
            family="pulse_counter", link_id=link_id, address=f"S/{name}", settings={"imp_per_kwh": 1000},
        )  # fmt: skip
        install_meter(
            actor=actor, now=now, services=services, meter_id=meter_id, usage_point_id=point_id,
            at=at,
        )  # fmt: skip
        channels[name] = Channel.objects.get(meter_id=meter_id).id
    print(json.dumps(channels))


if __name__ == "__main__":
    main(
        datetime.fromtimestamp(int(sys.argv[1]), UTC), {"north": int(sys.argv[2]), "south": int(sys.argv[3])}
    )
