"""Corrections: the whole old document is reversed and a new one posted; nothing is ever edited."""

from dataclasses import replace

from wattkeeper.core.billing.document import BillDocument, BillLine, document_key


def reverse(bill: BillDocument) -> BillDocument:
    """Return the document that takes back every line of `bill`."""
    return replace(
        bill,
        document_key=document_key("reversal", bill.document_key),
        energy_milliwh=-bill.energy_milliwh,
        lines=tuple(_reversed(line) for line in bill.lines),
        reverses_key=bill.document_key,
    )


def _reversed(line: BillLine) -> BillLine:
    return replace(
        line,
        amount=-line.amount,
        amount_minor=-line.amount_minor,
        quantity_milliwh=None if line.quantity_milliwh is None else -line.quantity_milliwh,
        spans=None if line.spans is None else -line.spans,
        base_minor=None if line.base_minor is None else -line.base_minor,
    )
