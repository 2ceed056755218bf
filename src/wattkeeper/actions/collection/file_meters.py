"""The meters that a file's blocks belong to: found, or made as meters that only files speak for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels
from wattkeeper.actions.registry.installing import begin_installation, ensure_series
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.data.registry.models import Channel, Installation, Meter, Site, UsagePoint
from wattkeeper.formats.api import IntervalBlock, RowError

FILES_SITE_CODE = "FILES"
STEP_KWH = Fraction(1, 1_000_000)
IMPORT, EXPORT = "energy_import_interval_kwh", "energy_export_interval_kwh"


@dataclass(frozen=True, slots=True)
class BlockTarget:
    """Where one block goes."""

    block: IntervalBlock
    meter_id: int
    channel_id: int


@audited("registry.import-meters")
def prepare_file_meters(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    label: str,
    blocks: Sequence[IntervalBlock],
    site_id: int | None,
) -> tuple[list[BlockTarget], list[RowError]]:
    """
    Return where each block goes, and an error for each that can go nowhere.

    Usage points and meters are made where the tenant has none of that code; they belong to the given site,
    or to one of their own for files.
    """
    site = own(Site, site_id, actor=actor) if site_id is not None else _files_site(actor)
    entry.subject = f"site:{site.id}"
    targets: list[BlockTarget] = []
    errors: list[RowError] = []
    taken: dict[int, str] = {}  # channel -> what the file calls it; one name may come in several blocks
    for block in blocks:
        try:
            target = _target(block, site=site, actor=actor, now=now)
            if taken.setdefault(target.channel_id, block.channel) != block.channel:
                raise WattkeeperError(
                    "imports.second-channel", usage_point=block.usage_point, channel=block.channel
                )
        except WattkeeperError as error:
            errors.append(RowError(0, 0, error.code, {"usage_point": block.usage_point, **error.params}))
            continue
        targets.append(target)
    entry.detail = {"label": label, "blocks": len(targets), "refused": len(errors)}
    return targets, errors


def _files_site(actor: Actor) -> Site:
    site, _ = Site.objects.get_or_create(
        tenant_id=actor.tenant_id,
        code=FILES_SITE_CODE,
        defaults={"name": "Imported files", "kind": Site.Kind.COMMERCIAL, "time_zone": "UTC"},
    )
    return site


def _target(block: IntervalBlock, *, site: Site, actor: Actor, now: datetime) -> BlockTarget:
    reading_type = _reading_type(block)
    point = _usage_point(block, site)
    meter = _meter(block, point, site)
    channel = meter.channels.filter(reading_type=reading_type).first()
    if channel is None:
        channel = make_channels(meter, [ChannelSpec(reading_type, STEP_KWH, is_profiled=True)])[0]
    _check_step(channel)
    _cover(meter, point, block, now)
    ensure_series(point, meter)
    return BlockTarget(block, meter.id, channel.id)


def _reading_type(block: IntervalBlock) -> str:
    """Return what the block holds: NEM12 names exports B1, B2 ..., everything else in Wh is import."""
    if block.unit != "Wh":
        raise WattkeeperError("imports.unit-not-kept", unit=block.unit, channel=block.channel)
    is_export = block.channel[:1].upper() == "B" or "export" in block.channel.lower()
    return EXPORT if is_export else IMPORT


def _usage_point(block: IntervalBlock, site: Site) -> UsagePoint:
    code = block.usage_point or block.meter_serial
    point = UsagePoint.objects.filter(tenant_id=site.tenant_id, code=code).first()
    if point is None:
        point = UsagePoint(tenant_id=site.tenant_id, site=site, code=code, name=code)
        keep(point)
    return point


def _meter(block: IntervalBlock, point: UsagePoint, site: Site) -> Meter:
    serial_number = block.meter_serial or f"{point.code}-FILE"
    meter = Meter.objects.filter(tenant_id=site.tenant_id, serial_number=serial_number).first()
    if meter is None:
        meter = Meter(
            tenant_id=site.tenant_id,
            site_id=point.site_id,
            serial_number=serial_number,
            interval_s=block.interval_s,
            memory_days=0,
        )
        keep(meter)
    if meter.family:
        raise WattkeeperError("imports.meter-is-read", serial_number=serial_number, family=meter.family)
    return meter


def _check_step(channel: Channel) -> None:
    if Fraction(channel.step_numerator, channel.step_denominator) != STEP_KWH:
        raise WattkeeperError("imports.step-differs", serial_number=channel.meter.serial_number)


def _cover(meter: Meter, point: UsagePoint, block: IntervalBlock, now: datetime) -> None:
    """Let the meter's installation reach back to the block's first interval.

    :raises WattkeeperError: ``installations.overlap`` where another meter was there, or this one elsewhere
    """
    starts_at = from_seconds(int(block.starts_at_s[0]))
    installation = meter.installations.order_by("starts_at").first()
    if installation is None:
        _check_free(point, meter, Period(starts_at))
        begin_installation(meter, point, at=starts_at, now=now)
        return
    if installation.usage_point_id != point.id:
        raise WattkeeperError("installations.overlap", serial_number=meter.serial_number)
    if starts_at < installation.starts_at:
        _check_free(point, meter, Period(starts_at, installation.starts_at))
        installation.starts_at = starts_at
        installation.save(update_fields=["starts_at"])


def _check_free(point: UsagePoint, meter: Meter, period: Period) -> None:
    for other in Installation.objects.filter(usage_point=point).exclude(meter=meter):
        if Period(other.starts_at, other.ends_at).overlaps(period):
            raise WattkeeperError("installations.overlap", serial_number=meter.serial_number)
