"""Delete a meter that was never read."""

from datetime import datetime

from django.db.models import ProtectedError

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import EndDeviceEvent, Finding
from wattkeeper.data.collection.models import DeviceKey, FieldRead, InvocationCounter, MeterStatus
from wattkeeper.data.registry.models import Installation, Meter, ToldMultiplier


@audited("registry.delete-meter")
def delete_meter(entry: Entry, *, actor: Actor, now: datetime, meter_id: int) -> None:
    """
    Delete a meter entered by mistake. One that was read is retired instead, never deleted.

    :raises WattkeeperError: ``registry.not-found``, ``meters.has-reads``, ``meters.in-use``
    """
    meter = own(Meter, meter_id, actor=actor)
    entry.subject = f"meter:{meter.id}"
    entry.detail = {"serial_number": meter.serial_number}
    has_reads = meter.channels.filter(has_reads=True).exists()
    if has_reads or FieldRead.objects.filter(channel__meter=meter).exists():
        raise WattkeeperError("meters.has-reads", serial_number=meter.serial_number)
    try:
        for model in (DeviceKey, InvocationCounter, MeterStatus, ToldMultiplier, Installation):
            model._default_manager.filter(meter=meter).delete()
        Finding.objects.filter(meter=meter).update(meter=None)
        EndDeviceEvent.objects.filter(meter=meter).delete()
        meter.channels.all().delete()
        meter.delete()
    except ProtectedError as error:
        raise WattkeeperError("meters.in-use", serial_number=meter.serial_number) from error
