"""What the database refused, as codes, and what passes by itself."""

from django.db import IntegrityError, InterfaceError, OperationalError

from wattkeeper.core.kernel.errors import WattkeeperError

_PASSING = (InterfaceError, OperationalError, OSError)  # a database that is away or busy, a line, a disk
_CODES = {
    "installation_meter_no_overlap": "installations.overlap",
    "installation_usage_point_no_overlap": "installations.overlap",
    "multiplier_no_overlap": "multipliers.overlap",
    "topology_no_overlap": "topology.two-parents",
    "formula_no_overlap": "formulas.overlap",
    "area_in_area_no_overlap": "topology.two-parents",
    "site_in_area_no_overlap": "topology.two-parents",
    "point_on_feeder_no_overlap": "topology.two-parents",
    "point_of_customer_no_overlap": "topology.two-parents",
    "contract_no_overlap": "contracts.overlap",
    "meter_with_reads_undeletable": "meters.has-reads",
    "channel_with_reads_undeletable": "meters.has-reads",
    "channel_reads_unforgotten": "meters.has-reads",
    "audit_record_immutable": "audit.immutable",
    "bill_immutable": "bills.immutable",
    "bill_no_overlap": "billing.overlap",
    "bill_line_immutable": "bills.immutable",
    "tariff_version_immutable": "tariffs.version-immutable",
    "tariff_version": "tariffs.version-taken",
    "billing_tariffversion.tariff_id": "tariffs.version-taken",
    "installation_period": "installations.period",
    "multiplier_positive": "multipliers.not-positive",
    "topology_no_loop": "topology.cycle",
}


def refusal_of(error: IntegrityError) -> WattkeeperError:
    """Return the error to tell; its code is ``registry.refused`` where the rule is not known by name."""
    text = str(error)
    for name in sorted(_CODES, key=len, reverse=True):
        if name in text:
            return WattkeeperError(_CODES[name])
    if "unique" in text.lower() or "duplicate" in text.lower():
        return WattkeeperError("registry.taken", field="")
    return WattkeeperError("registry.refused", reason=text.splitlines()[0][:200])


def is_passing(error: Exception) -> bool:
    """Whether what failed may go by itself, so that nobody has to be told."""
    return not error.is_permanent if isinstance(error, WattkeeperError) else isinstance(error, _PASSING)
