"""Copy a meter."""

from datetime import datetime
from fractions import Fraction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels
from wattkeeper.data.registry.models import Meter


@audited("registry.copy-meter")
def copy_meter(
    entry: Entry, *, actor: Actor, now: datetime, meter_id: int, serial_number: str, address: str
) -> int:
    """
    Add a meter like another under its own serial number and address, in stock, and return its id.

    Keys are not copied: each device has its own.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``
    """
    original = own(Meter, meter_id, actor=actor)
    copy = Meter(
        tenant_id=actor.tenant_id,
        site_id=original.site_id,
        serial_number=serial_number,
        address=address,
        make_model=original.make_model,
        family=original.family,
        link_id=original.link_id,
        interval_s=original.interval_s,
        memory_days=original.memory_days,
        has_relay=original.has_relay,
        settings=original.settings,
    )
    keep(copy)
    make_channels(
        copy,
        [
            ChannelSpec(
                channel.reading_type,
                Fraction(channel.step_numerator, channel.step_denominator),
                channel.register_digits,
                channel.is_profiled,
                channel.shown_count,
            )
            for channel in original.channels.order_by("id")
        ],
    )
    entry.subject = f"meter:{copy.id}"
    entry.detail = {"copied_from": original.id, "serial_number": serial_number}
    return copy.id
