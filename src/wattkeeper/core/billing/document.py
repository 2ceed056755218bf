"""What a bill says: lines, each with its exact amount and the way back to its intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from json import dumps
from types import MappingProxyType

ROUNDING = "half_up_per_line"
_NO_RATES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RegisterRead:
    """A dial reading printed on the bill; `value` is the exact text with its unit's decimals."""

    meter_serial: str
    channel: str
    measured_at: datetime
    value: str
    quality_code: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Which intervals a line is made of: those of the series' run that start in the span at this rate.

    `counter_from_milliwh`/`counter_to_milliwh` narrow them to a stretch of the tier counter where tiers climb
    in time order; None where the line holds a share of all of them.
    """

    series_id: int
    run_id: int
    starts_at: datetime
    ends_at: datetime
    interval_count: int
    rate_code: str | None = None
    counter_from_milliwh: int | None = None
    counter_to_milliwh: int | None = None


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line. `amount` is exact in major units, `amount_minor` what is charged.

    Energy lines hold `quantity_milliwh`; charges per day, month or year hold `spans`; a tax has its base as
    `base_minor` and its percentage as `unit_price`. `tier` counts from 1.
    """

    component_id: str
    label_code: str
    tariff_key: str
    unit_price: Decimal
    amount: Fraction
    amount_minor: int
    unit_code: str
    rate_code: str | None = None
    tier: int | None = None
    quantity_milliwh: int | None = None
    spans: Fraction | None = None
    base_minor: int | None = None
    estimated_share: Fraction = Fraction(0)
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class BillDocument:
    """A bill, or the reversal of one. `total_minor` is the sum of the rounded lines.

    `tier_used_milliwh`: what the tier counter had reached when the period began; `tier_used_by_rate_milliwh`:
    the same by rate code where each rate climbs a ladder of its own.
    """

    document_key: str
    usage_point: str
    starts_at: datetime
    ends_at: datetime
    zone: str
    currency: str
    tariff_keys: tuple[str, ...]
    data_version: str
    energy_milliwh: int
    lines: tuple[BillLine, ...]
    register_reads: tuple[RegisterRead, ...] = ()
    reverses_key: str | None = None
    rounding: str = ROUNDING
    tier_used_milliwh: int = 0
    tier_used_by_rate_milliwh: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_minor(self) -> int:
        """Return what the document comes to."""
        return sum(line.amount_minor for line in self.lines)


def document_key(*parts: object) -> str:
    """Return the deterministic key of a document: sha256 over its identifying parts, in hex."""
    return sha256(dumps([str(part) for part in parts], separators=(",", ":")).encode()).hexdigest()


def bill_key(
    usage_point: str,
    starts_at: datetime,
    ends_at: datetime,
    data_version: str,
    tariff_keys: Sequence[str],
    tier_used_milliwh: int = 0,
    tier_used_by_rate_milliwh: Mapping[str, int] = _NO_RATES,
) -> str:
    """Return the key of a bill: what it rests on, and nothing of how it was computed."""
    used = [f"tier:{tier_used_milliwh}"] if tier_used_milliwh else []
    used += [f"tier:{rate}:{milliwh}" for rate, milliwh in sorted(tier_used_by_rate_milliwh.items())]
    return document_key(usage_point, starts_at, ends_at, data_version, *tariff_keys, *used)


def exact_text(amount: Fraction) -> str:
    """Return the fraction as a decimal where it ends, else as ``numerator/denominator``."""
    rest, places = amount.denominator, 0
    while rest % 10 == 0 or rest % 2 == 0 or rest % 5 == 0:
        rest //= 10 if rest % 10 == 0 else 2 if rest % 2 == 0 else 5
        places += 1
    if rest != 1:
        return f"{amount.numerator}/{amount.denominator}"
    sign, units = "-" if amount < 0 else "", abs(amount.numerator) * 10**places // amount.denominator
    whole, part = divmod(units, 10**places)
    return f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"


def bill_to_json(bill: BillDocument) -> dict[str, object]:
    """Return the bill as plain JSON values: exact amounts as text, instants in ISO 8601 UTC."""
    return {
        "document_key": bill.document_key,
        "reverses_key": bill.reverses_key,
        "usage_point": bill.usage_point,
        "starts_at": bill.starts_at.isoformat(),
        "ends_at": bill.ends_at.isoformat(),
        "zone": bill.zone,
        "currency": bill.currency,
        "tariff_keys": list(bill.tariff_keys),
        "data_version": bill.data_version,
        "energy_milliwh": bill.energy_milliwh,
        "rounding": bill.rounding,
        "tier_used_milliwh": bill.tier_used_milliwh,
        "tier_used_by_rate_milliwh": dict(bill.tier_used_by_rate_milliwh),
        "total_minor": bill.total_minor,
        "lines": [_line_to_json(line) for line in bill.lines],
        "register_reads": [
            {
                "meter_serial": read.meter_serial,
                "channel": read.channel,
                "measured_at": read.measured_at.isoformat(),
                "value": read.value,
                "quality_code": read.quality_code,
            }
            for read in bill.register_reads
        ],
    }


def _line_to_json(line: BillLine) -> dict[str, object]:
    return {
        "component_id": line.component_id,
        "label_code": line.label_code,
        "tariff_key": line.tariff_key,
        "rate_code": line.rate_code,
        "tier": line.tier,
        "quantity_milliwh": line.quantity_milliwh,
        "spans": None if line.spans is None else exact_text(line.spans),
        "base_minor": line.base_minor,
        "unit_code": line.unit_code,
        "unit_price": format(line.unit_price, "f"),
        "amount": exact_text(line.amount),
        "amount_minor": line.amount_minor,
        "estimated_share": exact_text(line.estimated_share),
        "trace": None if line.trace is None else _trace_to_json(line.trace),
    }


def _trace_to_json(trace: Trace) -> dict[str, object]:
    return {
        "series_id": trace.series_id,
        "run_id": trace.run_id,
        "starts_at": trace.starts_at.isoformat(),
        "ends_at": trace.ends_at.isoformat(),
        "interval_count": trace.interval_count,
        "rate_code": trace.rate_code,
        "counter_from_milliwh": trace.counter_from_milliwh,
        "counter_to_milliwh": trace.counter_to_milliwh,
    }
