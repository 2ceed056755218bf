"""What a bill refuses, what it traces, and the tier threshold to the milliwatt-hour."""

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wattkeeper.core.billing.correct import reverse
from wattkeeper.core.billing.document import BillDocument, RegisterRead, bill_to_json, exact_text
from wattkeeper.core.billing.energy import counter_start
from wattkeeper.core.billing.intervals import IntervalColumns, UnableToBill
from wattkeeper.core.kernel.quality import Flag, Provenance

MONTH = ("2026-03-01", "2026-04-01")
LIMIT = {"mode": "time_order", "counter": "month", "limits_kwh": ["1"], "adders_per_kwh": ["0", "1"]}


def with_quality(
    rows: IntervalColumns, index: int, provenance: Provenance, flags: int = 0
) -> IntervalColumns:
    """Return the rows with one of them of another quality."""
    changed = replace(rows, provenance=rows.provenance.copy(), flags=rows.flags.copy())
    changed.provenance[index] = provenance
    changed.flags[index] = flags
    return changed


def refusal(make: SimpleNamespace, rows: Any, *, interval_s: int = 3600, **more: Any) -> UnableToBill:
    """Return the error of billing March."""
    with pytest.raises(UnableToBill) as caught:
        make.bill(make.tariff(make.flat("0.5")), make.period(*MONTH), rows, interval_s, **more)
    return caught.value


def quantities(bill: BillDocument) -> list[tuple[str | None, int | None, int | None]]:
    """Return rate, tier and quantity of each line."""
    return [(line.rate_code, line.tier, line.quantity_milliwh) for line in bill.lines]


@pytest.mark.parametrize("mode", ["pro_rata", "time_order", "per_period"])
@pytest.mark.parametrize(
    ("energy_milliwh", "expected"),
    [
        (999_999, [999_999]),
        (1_000_000, [1_000_000]),
        (1_000_001, [1_000_000, 1]),
    ],
)
def test_threshold(make: SimpleNamespace, mode: str, energy_milliwh: int, expected: list[int]) -> None:
    tariff = make.tariff(make.flat("1", tiers={**LIMIT, "mode": mode}))
    bill = make.bill(tariff, make.period(*MONTH), [energy_milliwh - 7, 7])
    assert [line.quantity_milliwh for line in bill.lines] == expected
    assert [line.tier for line in bill.lines] == list(range(1, len(expected) + 1))


def test_a_limit_inside_an_interval_splits_it(make: SimpleNamespace) -> None:
    tariff = make.tariff(make.tou("3", "1", tiers=LIMIT))
    rows = [0] * 7 + [600_000, 700_000, 100_000]  # 07:00 valley, then 08:00 and 09:00 peak
    bill = make.bill(tariff, make.period(*MONTH), rows)
    assert quantities(bill) == [("peak", 1, 400_000), ("peak", 2, 400_000), ("valley", 1, 600_000)]
    spans = [(line.trace.counter_from_milliwh, line.trace.counter_to_milliwh) for line in bill.lines]
    assert spans == [(0, 1_000_000), (1_000_000, 1_400_000), (0, 1_000_000)]
    assert [line.trace.interval_count for line in bill.lines] == [1, 2, 1]


def test_three_modes_three_answers(make: SimpleNamespace) -> None:
    rows = [0] * 7 + [600_000, 700_000, 100_000]
    totals = {}
    for mode in ("pro_rata", "time_order", "per_period"):
        tariff = make.tariff(make.tou("3", "1", tiers={**LIMIT, "mode": mode}))
        totals[mode] = make.bill(tariff, make.period(*MONTH), rows)
    assert quantities(totals["per_period"]) == [("peak", 1, 800_000), ("valley", 1, 600_000)]
    assert quantities(totals["pro_rata"]) == [
        ("peak", 1, 571_429),
        ("peak", 2, 228_571),
        ("valley", 1, 428_571),
        ("valley", 2, 171_429),
    ]
    assert {bill.energy_milliwh for bill in totals.values()} == {1_400_000}


def test_a_gap_is_refused(make: SimpleNamespace) -> None:
    rows = make.columns(make.period(*MONTH), 10**6)
    error = refusal(make, rows.where(np.delete(np.arange(744), 5)))
    assert (error.code, error.params["missing_count"]) == ("billing.incomplete", 1)
    assert error.params["first_missing_at"] == "2026-02-28T21:00:00+00:00"
    assert refusal(make, with_quality(rows, 5, Provenance.MISSING)).code == "billing.incomplete"


def test_a_loose_estimate_is_refused_unless_accepted(make: SimpleNamespace) -> None:
    span = make.period(*MONTH)
    rows = with_quality(make.columns(span, 744_000_000), 5, Provenance.ESTIMATED)
    assert refusal(make, rows).code == "billing.unbracketed-estimates"
    bill = make.bill(make.tariff(make.flat("1")), span, rows, accept_estimates=True)
    assert bill.lines[0].estimated_share == Fraction(1, 744)
    bracketed = with_quality(rows, 5, Provenance.ESTIMATED, Flag.REGISTER_BRACKETED)
    assert make.bill(make.tariff(make.flat("1")), span, bracketed).total_minor == bill.total_minor


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"starts_at_s": 1}, "billing.interval-off-grid"),
        ({"starts_at_s": 3600}, "billing.interval-twice"),
        ({"energy_milliwh": -2}, "billing.negative-energy"),
        ({"energy_milliwh": 2**61}, "billing.energy-bound"),
    ],
)
def test_bad_rows_are_refused(make: SimpleNamespace, change: dict[str, int], code: str) -> None:
    rows = make.columns(make.period(*MONTH), 744)
    name, difference = next(iter(change.items()))
    changed = getattr(rows, name).copy()
    changed[5] += difference
    assert refusal(make, replace(rows, **{name: changed})).code == code


def test_other_refusals(make: SimpleNamespace) -> None:
    span, later = make.period(*MONTH), make.tariff(make.flat("1"), valid_from="2026-03-02")
    with pytest.raises(UnableToBill, match=r"billing\.no-tariff"):
        make.bill(later, span, 0)
    with pytest.raises(UnableToBill, match=r"billing\.no-tariff"):
        make.bill([], span, 0)
    with pytest.raises(UnableToBill, match=r"billing\.two-tariffs-a-day"):
        make.bill([later, later], span, 0)
    with pytest.raises(UnableToBill, match=r"billing\.version-twice"):
        # the lines of one would be taxed with those of the other, and so twice
        make.bill([make.tariff(make.flat("1")), replace(later, valid_from_date=date(2026, 3, 16))], span, 0)
    with pytest.raises(UnableToBill, match=r"billing\.tariffs-differ"):
        make.bill([make.tariff(make.flat("1"), currency="EUR"), later], span, 0)
    with pytest.raises(UnableToBill, match=r"billing\.period-not-local-days"):
        make.bill(make.tariff(make.flat("1")), make.period(*MONTH, "Europe/Berlin"), 0)
    with pytest.raises(UnableToBill, match=r"billing\.period-open"):
        make.bill(make.tariff(make.flat("1")), replace(span, ends_at=None), make.columns(span, 0))
    with pytest.raises(UnableToBill, match=r"billing\.tier-use-at-counter-start"):
        make.bill(make.tariff(make.flat("1", tiers=LIMIT)), span, 0, tier_used_milliwh=1)
    ladders = make.tariff(make.flat("1", tiers={**LIMIT, "mode": "per_period", "counter": "year"}))
    with pytest.raises(UnableToBill, match=r"billing\.tier-use-by-rate-needed"):
        make.bill(ladders, span, 0, tier_used_milliwh=1)


def test_an_interval_over_a_switch_is_refused(make: SimpleNamespace) -> None:
    """Kathmandu is 5:45 ahead: on whole UTC half hours, 08:00 lies inside an interval."""
    tariff = make.tariff(make.tou("3", "1"), zone="Asia/Kathmandu")
    span = make.period(*MONTH, "Asia/Kathmandu")
    assert make.bill(tariff, span, 744, 1800).energy_milliwh == 744
    half_past = {
        "seasons": [
            {"from": "01-01", "to": "12-31", "days": {"weekday": [["00:00", "valley"], ["08:30", "peak"]]}}
        ]
    }
    with pytest.raises(UnableToBill, match=r"billing\.interval-straddles-switch"):
        make.bill(make.tariff({**make.tou("3", "1"), "calendar": half_past}), make.period(*MONTH), 744, 3600)


def test_same_inputs_same_document(make: SimpleNamespace) -> None:
    tariff, span = make.tariff(make.tou("3", "1", tiers=LIMIT)), make.period(*MONTH)
    rows = make.columns(span, 5 * 10**6)
    shuffled = rows.where(np.random.default_rng(1).permutation(744))
    first, again = make.bill(tariff, span, rows), make.bill(tariff, span, shuffled)
    assert first == again
    keys = {
        first.document_key,
        make.bill(tariff, span, rows, usage_point="up-2").document_key,
        make.bill(tariff, span, rows, data_version="run-4").document_key,
        make.bill(make.tariff(make.flat("1"), version=2), span, rows).document_key,
        make.bill(tariff, make.period("2026-03-01", "2026-03-31"), rows).document_key,
    }
    assert len(keys) == 5


def test_a_version_may_begin_with_a_year(make: SimpleNamespace) -> None:
    """The yearly counter starts again where the new version does."""
    tiers = {**LIMIT, "counter": "year", "mode": "pro_rata"}
    versions = [
        make.tariff(make.flat("1", tiers=tiers)),
        make.tariff(make.flat("1", tiers=tiers), version=2, valid_from="2026-01-01"),
    ]
    bill = make.bill(versions, make.period("2025-12-01", "2026-02-01"), 62 * 10**5, tier_used_milliwh=10**6)
    assert quantities(bill) == [("all", 2, 3_100_000), ("all", 1, 1_000_000), ("all", 2, 2_100_000)]


def test_one_tax_line_over_two_versions(make: SimpleNamespace) -> None:
    tax = {"id": "vat", "kind": "tax", "percent": "13", "covers": ["energy"]}
    versions = [
        make.tariff(make.flat("0.333333"), tax),
        make.tariff(make.flat("0.444444"), tax, version=2, valid_from="2026-03-11"),
    ]
    bill = make.bill(versions, make.period(*MONTH), 10**6)
    assert [line.component_id for line in bill.lines] == ["energy", "energy", "vat"]
    assert bill.lines[2].base_minor == bill.lines[0].amount_minor + bill.lines[1].amount_minor


def test_counter_start(make: SimpleNamespace) -> None:
    day = datetime(2026, 5, 9, tzinfo=UTC).date()
    starts = []
    for counter in ({"counter": "month"}, {"counter": "year"}, {"counter": "days", "nominal_days": 30}):
        energy = make.tariff(make.flat("1", tiers={**LIMIT, **counter})).components[0]
        starts.append(counter_start(energy.tiers, day).isoformat())
    assert starts == ["2026-05-01", "2026-01-01", "2026-05-09"]


def test_reversal_takes_back_every_line(make: SimpleNamespace) -> None:
    tax = {"id": "vat", "kind": "tax", "percent": "13", "covers": ["energy"]}
    old = make.bill(make.tariff(make.tou("3", "1"), tax), make.period(*MONTH), 10**7)
    back = reverse(old)
    assert back.total_minor == -old.total_minor
    assert back.reverses_key == old.document_key
    assert back.document_key != old.document_key
    assert [line.amount for line in back.lines] == [-line.amount for line in old.lines]


def test_a_bill_as_json(make: SimpleNamespace) -> None:
    read = RegisterRead(
        "M1", "energy_import_register_kwh", datetime(2026, 2, 28, 16, tzinfo=UTC), "12.34", "A"
    )
    fixed = {"id": "s", "kind": "fixed", "price": "10", "per": "month", "proration": "by_days"}
    tariff = make.tariff(fixed, make.flat("0.5"))
    bill = make.bill(tariff, make.period("2026-03-01", "2026-03-11"), 10**6, register_reads=[read])
    document: Any = bill_to_json(bill)
    assert [line["amount"] for line in document["lines"]] == ["100/31", "0.5"]
    assert document["total_minor"] == 323 + 50
    assert document["register_reads"][0]["value"] == "12.34"
    assert document["lines"][1]["trace"]["interval_count"] == 240


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Fraction(1, 8), "0.125"),
        (Fraction(-5, 4), "-1.25"),
        (Fraction(7), "7"),
        (Fraction(1, 3), "1/3"),
        (Fraction(0), "0"),
    ],
)
def test_exact_text(amount: Fraction, text: str) -> None:
    assert exact_text(amount) == text
    assert Fraction(text) == amount
