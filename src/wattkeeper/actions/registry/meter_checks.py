"""What a meter's fields must agree on."""

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import Link
from wattkeeper.data.registry.models import Meter
from wattkeeper.drivers import FAMILIES


def check_meter(meter: Meter, *, actor: Actor) -> None:
    """Check that the meter's driver exists and that its link is the tenant's own and in use.

    :raises WattkeeperError: ``drivers.unknown-family``, ``registry.not-found``, ``meters.constant-missing``
    """
    if meter.family and meter.family not in FAMILIES:
        raise WattkeeperError("drivers.unknown-family", family=meter.family, known=", ".join(FAMILIES))
    links = Link.objects.filter(tenant_id=actor.tenant_id, retired_at__isnull=True)
    if meter.link_id is not None and not links.filter(id=meter.link_id).exists():
        raise WattkeeperError("registry.not-found", kind="link", id=meter.link_id)
    constant = meter.settings.get("imp_per_kwh")
    if meter.family == "pulse_counter" and not (isinstance(constant, int) and constant > 0):
        raise WattkeeperError("meters.constant-missing", reading_type="pulses_imp")
