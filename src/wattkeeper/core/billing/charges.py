"""Lines that rest on days and on other lines: fixed charges, minimums, taxes."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from wattkeeper.core.billing.document import BillLine
from wattkeeper.core.billing.slices import Slice
from wattkeeper.core.kernel.money import MINOR_DIGITS, fraction_to_minor
from wattkeeper.core.tariffs.model import FixedCharge, MinimumCharge, Tax, TaxRounding
from wattkeeper.core.tariffs.proration import quoted_spans


def fixed_lines(component_id: str, slices: Sequence[Slice]) -> list[BillLine]:
    """Return a line for each version that holds the fixed charge."""
    lines = []
    for part in slices:
        charge = part.component(component_id)
        if isinstance(charge, FixedCharge):
            lines.append(_fixed_line(charge, part))
    return lines


def minimum_lines(component_id: str, slices: Sequence[Slice], lines: Sequence[BillLine]) -> list[BillLine]:
    """Return, per version, the line that lifts the covered components to their minimum, if they are below.

    `lines` are all earlier lines of the bill; a fixed charge counts towards the minimum where it is covered.
    """
    found = []
    for part in slices:
        charge = part.component(component_id)
        if not isinstance(charge, MinimumCharge):
            continue
        spans = _spans(charge, part)
        least = Fraction(charge.price) * spans
        covered_minor = sum(line.amount_minor for line in _covered(charge, part, lines))
        top_up = least - Fraction(covered_minor, _minor_per_major(part))
        if top_up > 0:
            found.append(
                BillLine(
                    component_id=charge.id,
                    label_code=charge.label_code,
                    tariff_key=part.tariff.key,
                    unit_price=charge.price,
                    amount=top_up,
                    amount_minor=fraction_to_minor(top_up, part.tariff.currency),
                    unit_code=charge.per.value,
                    spans=spans,
                    base_minor=covered_minor,
                )
            )
    return found


def tax_lines(component_id: str, slices: Sequence[Slice], lines: Sequence[BillLine]) -> list[BillLine]:
    """Return one line per percentage: a tax is rounded once, however many versions the bill rests on."""
    groups: dict[tuple[Decimal, TaxRounding], list[tuple[Slice, Tax]]] = {}
    for part in slices:
        tax = part.component(component_id)
        if isinstance(tax, Tax):
            groups.setdefault((tax.percent, tax.rounding), []).append((part, tax))
    return [_tax_line(group, lines) for group in groups.values()]


def _fixed_line(charge: FixedCharge, part: Slice) -> BillLine:
    spans = _spans(charge, part)
    amount = Fraction(charge.price) * spans
    return BillLine(
        component_id=charge.id,
        label_code=charge.label_code,
        tariff_key=part.tariff.key,
        unit_price=charge.price,
        amount=amount,
        amount_minor=fraction_to_minor(amount, part.tariff.currency),
        unit_code=charge.per.value,
        spans=spans,
    )


def _spans(charge: FixedCharge | MinimumCharge, part: Slice) -> Fraction:
    return quoted_spans(
        charge.per,
        charge.proration,
        part.first,
        part.end,
        bill_first=part.days.first,
        bill_end=part.days.end,
    )


def _covered(charge: MinimumCharge | Tax, part: Slice, lines: Sequence[BillLine]) -> list[BillLine]:
    return [
        line
        for line in lines
        if line.component_id in charge.covers and line.tariff_key == part.tariff.key and line.amount_minor
    ]


def _minor_per_major(part: Slice) -> int:
    return int(10 ** MINOR_DIGITS[part.tariff.currency])


def _tax_line(group: list[tuple[Slice, Tax]], lines: Sequence[BillLine]) -> BillLine:
    last, tax = group[-1]
    taxed = [line for part, member in group for line in _covered(member, part, lines)]
    ratio = Fraction(tax.percent) / 100 / _minor_per_major(last)
    base_minor = sum(line.amount_minor for line in taxed)
    amount = base_minor * ratio
    amount_minor = fraction_to_minor(amount, last.tariff.currency)
    if tax.rounding is TaxRounding.PER_LINE:
        amount_minor = sum(
            fraction_to_minor(line.amount_minor * ratio, last.tariff.currency) for line in taxed
        )
    return BillLine(
        component_id=tax.id,
        label_code=tax.label_code,
        tariff_key=last.tariff.key,
        unit_price=tax.percent,
        amount=amount,
        amount_minor=amount_minor,
        unit_code="percent",
        base_minor=base_minor,
    )
