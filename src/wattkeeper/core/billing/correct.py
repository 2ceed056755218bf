"""Corrections: the whole old document is reversed and a new one posted; nothing is ever edited."""

from dataclasses import dataclass, replace

from wattkeeper.core.billing.document import BillDocument, BillLine, document_key
from wattkeeper.core.billing.intervals import UnableToBill


@dataclass(frozen=True, slots=True)
class Correction:
    """A reversal of the old document in full, and its replacement."""

    reversal: BillDocument
    replacement: BillDocument

    @property
    def balance_effect_minor(self) -> int:
        """Return what the customer's balance changes by."""
        return self.reversal.total_minor + self.replacement.total_minor


def correction(old: BillDocument, new: BillDocument) -> Correction:
    """Return the pair of documents that puts `new` in the place of `old`.

    :raises UnableToBill: ``billing.nothing-to-correct`` (the same document), ``billing.already-reversal``,
        ``billing.correction-of-another`` (other usage point, period or currency)
    """
    if old.document_key == new.document_key:
        raise UnableToBill("billing.nothing-to-correct", document_key=old.document_key)
    if old.reverses_key is not None or new.reverses_key is not None:
        raise UnableToBill("billing.already-reversal")
    if _subject(old) != _subject(new):
        raise UnableToBill("billing.correction-of-another")
    return Correction(reverse(old), new)


def reverse(bill: BillDocument) -> BillDocument:
    """Return the document that takes back every line of `bill`."""
    return replace(
        bill,
        document_key=document_key("reversal", bill.document_key),
        energy_milliwh=-bill.energy_milliwh,
        lines=tuple(_reversed(line) for line in bill.lines),
        reverses_key=bill.document_key,
    )


def _subject(bill: BillDocument) -> tuple[object, ...]:
    return bill.usage_point, bill.starts_at, bill.ends_at, bill.currency


def _reversed(line: BillLine) -> BillLine:
    return replace(
        line,
        amount=-line.amount,
        amount_minor=-line.amount_minor,
        quantity_milliwh=None if line.quantity_milliwh is None else -line.quantity_milliwh,
        spans=None if line.spans is None else -line.spans,
        base_minor=None if line.base_minor is None else -line.base_minor,
    )
