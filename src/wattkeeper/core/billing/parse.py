"""A stored bill read back: the inverse of `bill_to_json`."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from wattkeeper.core.billing.document import BillDocument, BillLine, RegisterRead, Trace


def bill_from_json(document: Mapping[str, Any]) -> BillDocument:
    """Return the bill of its plain JSON values, as `bill_to_json` wrote them.

    :raises KeyError: for a document that lacks a field
    """
    return BillDocument(
        document_key=document["document_key"],
        usage_point=document["usage_point"],
        starts_at=datetime.fromisoformat(document["starts_at"]),
        ends_at=datetime.fromisoformat(document["ends_at"]),
        zone=document["zone"],
        currency=document["currency"],
        tariff_keys=tuple(document["tariff_keys"]),
        data_version=document["data_version"],
        energy_milliwh=document["energy_milliwh"],
        lines=tuple(_line(line) for line in document["lines"]),
        register_reads=tuple(_read(read) for read in document["register_reads"]),
        reverses_key=document["reverses_key"],
        rounding=document["rounding"],
        tier_used_milliwh=document.get("tier_used_milliwh", 0),
        tier_used_by_rate_milliwh=document.get("tier_used_by_rate_milliwh", {}),
    )


def _line(line: Mapping[str, Any]) -> BillLine:
    return BillLine(
        component_id=line["component_id"],
        label_code=line["label_code"],
        tariff_key=line["tariff_key"],
        unit_price=Decimal(line["unit_price"]),
        amount=Fraction(line["amount"]),
        amount_minor=line["amount_minor"],
        unit_code=line["unit_code"],
        rate_code=line["rate_code"],
        tier=line["tier"],
        quantity_milliwh=line["quantity_milliwh"],
        spans=None if line["spans"] is None else Fraction(line["spans"]),
        base_minor=line["base_minor"],
        estimated_share=Fraction(line["estimated_share"]),
        trace=None if line["trace"] is None else trace_from_json(line["trace"]),
    )


def _read(read: Mapping[str, Any]) -> RegisterRead:
    return RegisterRead(
        read["meter_serial"],
        read["channel"],
        datetime.fromisoformat(read["measured_at"]),
        read["value"],
        read["quality_code"],
    )


def trace_from_json(trace: Mapping[str, Any]) -> Trace:
    """Return the way back of a line, as the bill keeps it."""
    return Trace(
        series_id=trace["series_id"],
        run_id=trace["run_id"],
        starts_at=datetime.fromisoformat(trace["starts_at"]),
        ends_at=datetime.fromisoformat(trace["ends_at"]),
        interval_count=trace["interval_count"],
        rate_code=trace["rate_code"],
        counter_from_milliwh=trace["counter_from_milliwh"],
        counter_to_milliwh=trace["counter_to_milliwh"],
    )
