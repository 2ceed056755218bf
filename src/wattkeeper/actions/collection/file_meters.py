"""The meters that a file's blocks belong to: found, or made as meters that only files speak for."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from itertools import compress
from operator import not_

from django.db import transaction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.collection.carried_power import let_carry
from wattkeeper.actions.collection.interval_lengths import fit_length, usual_length_s
from wattkeeper.actions.collection.phases import keep_phase
from wattkeeper.actions.collection.shown_steps import NOTHING_SHOWN, learn_steps
from wattkeeper.actions.collection.storable import ENERGY_OF_UNIT, storable, zone_of
from wattkeeper.actions.records import keep, own
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels
from wattkeeper.actions.registry.installing import (
    begin_installation,
    end_installation,
    ensure_series,
    mark_points_dirty,
)
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.audit.former_lengths import FORMER_LENGTHS
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.installed import keep_told
from wattkeeper.data.registry.models import Channel, Installation, Meter, Site, UsagePoint
from wattkeeper.data.registry.quantities import QUANTITY_OF_RATE, QUANTITY_OF_READING_TYPE
from wattkeeper.formats.api import IntervalBlock, RowError
from wattkeeper.formats.channels import (
    is_counted_now,
    is_electricity,
    is_export,
    is_part,
    phase_of,
    split_rate,
    type_codes,
)
from wattkeeper.formats.nem13 import register_blocks
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.standing import latest_standing

FILES_SITE_CODE = "FILES"
PART_COUNT = 20  # blocks prepared in one transaction; tens of statements each
STEP_KWH = Fraction(1, 1_000_000)
_NEM12_LATER = re.compile(r"[EBQK]([02-9A-Z])", re.ASCII | re.IGNORECASE)  # E1, B1, Q1, K1 are the first
_TOTALS = ("energy_import_register_kwh", "energy_import_interval_kwh")


@dataclass(frozen=True, slots=True)
class BlockTarget:
    """Where one block goes; `step_milli`: how many of its thousandths a count of the channel is."""

    block: IntervalBlock
    serial_number: str
    channel_id: int
    step_milli: int = 1


class Refused(Exception):
    """What was prepared is undone: there was nothing to keep, or it was a dry run."""

    def __init__(self, targets: list[BlockTarget], errors: list[RowError]) -> None:
        self.targets, self.errors = targets, errors
        super().__init__(len(errors))


@audited("registry.import-meters")
def prepare_file_meters(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    label: str,
    blocks: Sequence[IntervalBlock],
    site_id: int | None,
    zone: str,
    stored_s: Mapping[int, int | None],
    is_dry: bool = False,
) -> tuple[list[BlockTarget], list[RowError]]:
    """
    Return where each block goes, and an error for each that can go nowhere.

    Usage points and meters are made where the tenant has none of that code; they belong to the given site,
    or to one for files of `zone`, whose local days are then theirs. Of a block that can go nowhere nothing is
    made; nothing at all is kept where none can go anywhere, or all was to be tried only (`is_dry`).
    `stored_s`: of `find_stored`.

    :raises Refused: with what would have been
    """
    site = own(Site, site_id, actor=actor) if site_id is not None else _files_site(actor, zone)
    entry.subject = f"site:{site.id}"
    targets: list[BlockTarget] = []
    blocks, errors = _with_registers([_at_its_point(block) for block in blocks])
    blocks, of_others = _of_electricity(blocks)
    blocks, of_phases = _without_phases(blocks)
    errors += of_others + of_phases
    known = _Known(_ends_s(blocks), stored_s)
    taken: dict[int, str] = {}  # channel -> what the file calls it; one name may come in several blocks
    for block in sorted(blocks, key=lambda block: int(block.starts_at_s[0])):
        try:
            block, left_out = storable(block, zone_of(block, site))
            errors.extend(left_out)
            if not len(block.starts_at_s):
                continue
            with transaction.atomic():  # a block that is refused leaves nothing of what it would have made
                target = _target(block, site=site, now=now, known=known)
                if taken.setdefault(target.channel_id, block.channel) != block.channel:
                    raise WattkeeperError(
                        "imports.second-channel", usage_point=block.usage_point, channel=block.channel
                    )
        except WattkeeperError as error:
            errors.append(RowError(0, 0, error.code, {"usage_point": block.usage_point, **error.params}))
            continue
        targets.append(target)
    errors += _rates_alone(targets)
    if is_dry or not targets:
        raise Refused(targets, errors)
    entry.detail = {"label": label, "blocks": len(targets), "refused": len(errors)}
    if known.former_s:
        entry.detail[FORMER_LENGTHS] = known.former_s
    return targets, errors


def _rates_alone(targets: Sequence[BlockTarget]) -> list[RowError]:
    """Return an error for each meter that tells what rates took and no total: that makes no energy."""
    of_rates = {target.channel_id: target.block for target in targets if split_rate(target.block.channel)[1]}
    alone = Channel.objects.filter(id__in=of_rates).exclude(meter__channels__reading_type__in=_TOTALS)
    first = {row.meter_id: of_rates[row.id] for row in alone.order_by("-reading_type")}
    return [
        RowError(0, 0, "imports.rates-alone", {"usage_point": block.usage_point, "channel": block.channel})
        for block in first.values()
    ]


def find_stored(
    tenant_id: int, blocks: Sequence[IntervalBlock], store: ReadingStore | None
) -> dict[int, int | None]:
    """Return until when what is stored knows the meters at a file's usage points: by meter, UTC seconds.

    None of a meter that not only files speak for; one that nothing is stored of is not named. Ask it before
    the transaction: the store may take its time.
    """
    codes = {block.usage_point or block.meter_serial for block in map(_at_its_point, blocks)}
    there = Installation.objects.filter(usage_point__code__in=codes, meter__family="")
    meter_ids = there.filter(tenant_id=tenant_id).values("meter_id")
    rows = Channel.objects.filter(meter_id__in=meter_ids).select_related("meter")
    channels = {row.id: row for row in rows}
    if store is None or not channels:
        return {}
    found: dict[int, int | None] = {}
    for channel_id, read in latest_standing(store, tenant_id, list(channels)).items():
        channel = channels[channel_id]
        end_s = read.measured_at_s + channel.meter.interval_s * channel.is_profiled
        known_s = found.get(channel.meter_id, 0)
        is_files = read.source == int(Source.FILE) and known_s is not None
        found[channel.meter_id] = max(end_s, known_s or 0) if is_files else None
    return found


def parts_of(blocks: Sequence[IntervalBlock]) -> Iterator[list[IntervalBlock]]:
    """Yield blocks in parts of `PART_COUNT`, or of one meter: who prepares a part holds up others that long.

    What names one meter or one usage point stays together, in the file's order.
    """
    together: dict[str, list[int]] = {}
    for place, block in enumerate(blocks):
        names = _names_of(block)
        known = {id(together[name]): together[name] for name in names if name in together}
        home, *others = sorted(known.values(), key=len, reverse=True) or [[]]
        for other in others:
            home += other
            together |= dict.fromkeys({name for each in other for name in _names_of(blocks[each])}, home)
        home.append(place)
        together |= dict.fromkeys(names, home)
    part: list[int] = []
    for places in {id(places): places for places in together.values()}.values():
        if part and len(part) + len(places) > PART_COUNT:
            yield [blocks[place] for place in sorted(part)]
            part = []
        part = part + places
    if part:
        yield [blocks[place] for place in sorted(part)]


def _names_of(block: IntervalBlock) -> set[str]:
    """Return what a block calls its usage point and its meter, or will be called."""
    block = _at_its_point(block)
    code = block.usage_point or block.meter_serial
    return {code, block.meter_serial or _serial_number(code)}


def _serial_number(code: str) -> str:
    """Return what a meter is called that the file does not name."""
    return f"{code}-FILE"


def _at_its_point(block: IntervalBlock) -> IntervalBlock:
    """Return the block at the usage point that its NEM12 suffix names.

    E2 and B2, such as of a controlled load, are measured beside E1 and B1 of the same NMI, by the same meter
    or another, and priced apart: a usage point and a meter of their own, ``NMI-2``, in whatever file.
    """
    later = _NEM12_LATER.fullmatch(split_rate(block.channel)[0])
    if later is None:
        return block
    tail = f"-{later[1].upper()}"
    point, serial_number = block.usage_point, block.meter_serial
    return replace(
        block, usage_point=point and point + tail, meter_serial=serial_number and serial_number + tail
    )


def _with_registers(blocks: Sequence[IntervalBlock]) -> tuple[list[IntervalBlock], list[RowError]]:
    """Return the blocks with registers in place of the advances of NEM13, and errors of these."""
    notes = {id(block.notes): block.notes for block in blocks}  # all blocks of a file may share them
    has_reads = {at: any("aemo.current_read" in note for note in each) for at, each in notes.items()}
    is_advance = [has_reads[id(block.notes)] for block in blocks]
    registers, errors = register_blocks(list(compress(blocks, is_advance)))
    return [*compress(blocks, map(not_, is_advance)), *registers], errors


def _of_electricity(blocks: Sequence[IntervalBlock]) -> tuple[list[IntervalBlock], list[RowError]]:
    """Return the blocks of electricity, and an error for each other: of gas, heat, water."""
    is_own = [is_electricity(block.channel) for block in blocks]
    return list(compress(blocks, is_own)), _errors("imports.commodity-not-kept", blocks, map(not_, is_own))


def _errors(code: str, blocks: Sequence[IntervalBlock], chosen: Iterable[bool]) -> list[RowError]:
    return [
        RowError(0, 0, code, {"usage_point": block.usage_point, "channel": block.channel})
        for block in compress(blocks, chosen)
    ]


def _without_phases(blocks: Sequence[IntervalBlock]) -> tuple[list[IntervalBlock], list[RowError]]:
    """Return the blocks without those of one phase among several, and an error for each: it is not all of the
    energy. One beside which the meter's registers, or its intervals, tell no other is all that they count.
    """
    phases: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for block in blocks:
        phases[_stream(block)].add(phase_of(block.channel))
    is_some = [bool(phase_of(block.channel)) and len(phases[_stream(block)]) > 1 for block in blocks]
    return list(compress(blocks, map(not_, is_some))), _errors("imports.part-not-kept", blocks, is_some)


def _stream(block: IntervalBlock) -> tuple[object, ...]:
    """Return what tells the registers, or the intervals, of a meter that count one way from the others."""
    way = is_export(block.channel)
    kind = bool(block.interval_s), *type_codes(block.channel).items()
    return block.usage_point, block.meter_serial, block.unit, way, *kind


def _files_site(actor: Actor, zone: str) -> Site:
    code, name = FILES_SITE_CODE, "Imported files"
    if zone != "UTC":
        code, name = f"{code}-{zone.replace('/', '-')}", f"{name}, {zone}"
    site, _ = Site.objects.get_or_create(
        tenant_id=actor.tenant_id,
        code=code,
        defaults={"name": name, "kind": Site.Kind.COMMERCIAL, "time_zone": zone},
    )
    return site


def _ends_s(blocks: Sequence[IntervalBlock]) -> Mapping[str, int]:
    """Return until when a file knows each meter."""
    ends_s: dict[str, int] = defaultdict(int)
    for block in blocks:
        end_s = int(block.starts_at_s[-1]) + block.interval_s
        ends_s[block.meter_serial] = max(ends_s[block.meter_serial], end_s)
    return ends_s


@dataclass(frozen=True, slots=True)
class _Known:
    """Until when meters are known of: by the file, and by the files before it.

    `former_s`: how long the intervals of series were that the file changed.
    """

    ends_s: Mapping[str, int]
    stored_s: Mapping[int, int | None]
    former_s: dict[int, int] = field(default_factory=dict)

    def until_s(self, meter: Meter) -> int | None:
        """Return the instant; None of a meter that no file speaks for, or not only files."""
        stored_s = self.stored_s.get(meter.id, 0)
        if stored_s is None:
            return None
        return max(stored_s, self.ends_s.get(meter.serial_number, 0)) or None


def _target(block: IntervalBlock, *, site: Site, now: datetime, known: _Known) -> BlockTarget:
    reading_type = _reading_type(block)
    point = _usage_point(block, site)
    meter = _meter(block, point, site)
    former_s = fit_length(block, point, meter, quantity=QUANTITY_OF_READING_TYPE.get(reading_type), now=now)
    channel = meter.channels.filter(reading_type=reading_type).first()
    if channel is None:
        spec = ChannelSpec(reading_type, STEP_KWH, None, is_profiled=bool(block.interval_s))
        channel = make_channels(meter, [spec])[0]
        channel.shown_count = NOTHING_SHOWN
        channel.save(update_fields=["shown_count"])
        learn_steps(channel, block)
    elif learn_steps(channel, block):
        _derive_again(channel, now)
    keep_phase(channel, block)
    step_milli = _step_milli(channel, block)
    _cover(meter, point, block, now, known)
    ensure_series(point, meter)
    let_carry(point, block, reading_type, now=now)
    known.former_s.update(former_s | known.former_s)
    return BlockTarget(block, meter.serial_number, channel.id, step_milli)


def _derive_again(channel: Channel, now: datetime) -> None:
    """Derive again what a channel has told so far: nothing, of a meter that was never installed."""
    first = channel.meter.installations.order_by("starts_at").first()
    until_at = now.replace(microsecond=0)
    if first is not None and first.starts_at < until_at:
        everything = {channel.id: (to_seconds(first.starts_at), to_seconds(until_at))}
        mark_dirty(tenant_id=channel.tenant_id, now=now, reason="import", channels=everything)


def _reading_type(block: IntervalBlock) -> str:
    """Return what the block holds: NEM12 names exports B, B1 ... or, reactive, K ...; the rest is import.

    Of registers that count one rate alone those of imported active energy are kept apart.

    :raises WattkeeperError: ``imports.not-counted-now`` for what is no energy, ``imports.part-not-kept`` for
        what is some of it, as of another rate or of one phase
    """
    if not is_counted_now(block.channel, is_register=not block.interval_s):
        raise WattkeeperError("imports.not-counted-now", channel=block.channel)
    quantity, unit = ENERGY_OF_UNIT[block.unit]
    kind = "interval" if block.interval_s else "register"
    name = f"{quantity}_{'export' if is_export(block.channel) else 'import'}"
    rate = split_rate(block.channel)[1]
    rated = f"{name}_t{rate}_{kind}_{unit}"
    if is_part(block.channel, block.unit) or (rate and rated not in QUANTITY_OF_RATE):
        raise WattkeeperError("imports.part-not-kept", channel=block.channel)
    return rated if rate else f"{name}_{kind}_{unit}"


def _usage_point(block: IntervalBlock, site: Site) -> UsagePoint:
    code = block.usage_point or block.meter_serial
    point = UsagePoint.objects.filter(tenant_id=site.tenant_id, code=code).first()
    if point is None:
        point = UsagePoint(tenant_id=site.tenant_id, site=site, code=code, name=code, power_told={})
        keep(point)
    return point


def _meter(block: IntervalBlock, point: UsagePoint, site: Site) -> Meter:
    serial_number = block.meter_serial or _serial_number(point.code)
    meter = Meter.objects.filter(tenant_id=site.tenant_id, serial_number=serial_number).first()
    if meter is None:
        meter = Meter(
            tenant_id=site.tenant_id,
            site_id=point.site_id,
            serial_number=serial_number,
            interval_s=block.interval_s or usual_length_s(point),
            memory_days=0,
        )
        keep(meter)
    if meter.family:
        raise WattkeeperError("imports.meter-is-read", serial_number=serial_number, family=meter.family)
    return meter


def _step_milli(channel: Channel, block: IntervalBlock) -> int:
    """Return how many thousandths a count of a channel is: one, of what files made.

    One that a person made coarser takes what it can hold to the last digit, and begins at 0 where the file
    says, if that says it.

    :raises WattkeeperError: ``imports.step-differs``
    """
    step = Fraction(channel.step_numerator, channel.step_denominator) / STEP_KWH
    if step == 1:
        return 1
    modulus_milli = 0 if channel.register_digits is None else int(10**channel.register_digits * step)
    is_held = step.denominator == 1 and not (block.value_milli % step.numerator).any()
    is_held = is_held and block.modulus_milli in (0, modulus_milli)
    if not is_held or (modulus_milli and int(block.value_milli.max()) >= modulus_milli):
        raise WattkeeperError("imports.step-differs", serial_number=channel.meter.serial_number)
    return step.numerator


def _cover(meter: Meter, point: UsagePoint, block: IntervalBlock, now: datetime, known: _Known) -> None:
    """Let the meter's installation reach over the block.

    A meter that no file knows anything of from then on was exchanged for this one, however late a file tells
    that this one began earlier; this one, for the next one that is there already.

    :raises WattkeeperError: ``imports.second-meter`` where another meter was there,
        ``imports.meter-elsewhere`` where this one is at another usage point
    """
    starts_at = from_seconds(int(block.starts_at_s[0]))
    ends_at = from_seconds(int(block.starts_at_s[-1]) + block.interval_s)
    installation = meter.installations.order_by("starts_at").first()
    if installation is None:
        followed_at = _followed_at(point, max(ends_at, from_seconds(known.ends_s[meter.serial_number])))
        _let_go(point, starts_at, now, known, until=followed_at)
        _check_free(point, meter, Period(starts_at, followed_at))
        begin_installation(meter, point, at=starts_at, now=now, until=followed_at)
        return
    if installation.usage_point_id != point.id:
        raise WattkeeperError(
            "imports.meter-elsewhere",
            usage_point=point.code,
            serial_number=meter.serial_number,
            there=installation.usage_point.code,
        )
    if starts_at < installation.starts_at:
        _let_go(point, starts_at, now, known, until=installation.starts_at)
        _check_free(point, meter, Period(starts_at, installation.starts_at))
        keep_told(installation, now=now)
        _mark(point, starts_at, installation.starts_at, now)
        installation.starts_at = starts_at
        installation.save(update_fields=["starts_at"])
    if installation.ends_at is not None and ends_at > installation.ends_at:
        _check_free(point, meter, Period(max(starts_at, installation.ends_at), ends_at))


def _let_go(point: UsagePoint, at: datetime, now: datetime, known: _Known, *, until: datetime | None) -> None:
    """End at an instant the meter that was there until the next one as it was known, or for good, and that
    nobody knows anything of from then on."""
    there = Installation.objects.filter(usage_point=point, ends_at=until, starts_at__lt=at, meter__family="")
    for other in there.select_related("meter"):
        until_s = known.until_s(other.meter)
        if until_s is None or until_s > to_seconds(at):
            continue
        if until is None:
            end_installation(other.meter, at=at, now=now)
        else:
            keep_told(other, now=now)
            other.ends_at = at
            other.save(update_fields=["ends_at"])
        _mark(point, at, until, now)


def _mark(point: UsagePoint, from_at: datetime, to_at: datetime | None, now: datetime) -> None:
    """Have all series of a usage point derived again where another meter is there now, read or not."""
    mark_points_dirty(
        [point.id], tenant_id=point.tenant_id, from_at=from_at, to_at=to_at, now=now, reason="import"
    )


def _followed_at(point: UsagePoint, at: datetime) -> datetime | None:
    """Return when the next meter at a usage point begins, not before an instant."""
    later = Installation.objects.filter(usage_point=point, starts_at__gte=at).order_by("starts_at")
    return later.values_list("starts_at", flat=True).first()


def _check_free(point: UsagePoint, meter: Meter, period: Period) -> None:
    for other in Installation.objects.filter(usage_point=point).exclude(meter=meter).select_related("meter"):
        if Period(other.starts_at, other.ends_at).overlaps(period):
            raise _second(point, meter, other.meter)


def _second(point: UsagePoint, meter: Meter, there: Meter) -> WattkeeperError:
    return WattkeeperError(
        "imports.second-meter",
        usage_point=point.code,
        serial_number=meter.serial_number,
        there=there.serial_number,
    )
