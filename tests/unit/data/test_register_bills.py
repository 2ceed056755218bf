"""A register without intervals is billed: prorated at bounds, by daily load, put right by the next read."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from relational import LONG_AGO, NOW, People, Street
from unit.data.test_hints import STEP_MILLIWH, Town, start_of, town
from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.billing.run_billing import BillingReport, run_billing
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.core.readings import intervals
from wattkeeper.data.billing.models import Bill, RebillProposal, TariffVersion
from wattkeeper.data.collection.windows import mark_recent_dirty
from wattkeeper.interfaces.cli.demo.tariffs import RESIDENTIAL
from wattkeeper.pipeline import single_derive
from wattkeeper.store.api import RawBatch

__all__ = ["town"]
READ_DAYS = (date(2026, 9, 24), date(2026, 10, 24))
NEXT_READ = date(2026, 11, 13)
BILLED = (date(2026, 10, 1), date(2026, 11, 1))
A_DAY = 96  # counts
BY_HAND_S = 8 * 3600 + 780
DAY_S = 86_400


@pytest.fixture
def village(town: Town, ours: People, street: Street, services: Services) -> tuple[Town, Services]:
    """A town that bills its first point by what its store holds."""
    version_id = add_tariff_version(actor=ours.administrator, now=NOW, name="", document=RESIDENTIAL)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    point_id = street.point_id
    set_contract(actor=ours.administrator, now=NOW, usage_point_id=point_id, tariff_id=tariff_id, at=LONG_AGO)
    return town, replace(services, store=town.store)


def read(town: Town, day: date, count: int, later_s: int) -> None:
    """Deliver one read of the register, and derive: with the look that the worker takes again and again."""
    column = [np.array([each]) for each in (town.channels[0], start_of(day) + later_s, count, 0, 5, -1)]
    batch = RawBatch(town.people.tenant.id, start_of(day), start_of(day), *column)
    StoreSink(town.store, lambda: NOW).deliver([batch])
    mark_recent_dirty(tenant_id=town.people.tenant.id, since=LONG_AGO, now=NOW)
    town.run()


def bill(town: Town, services: Services) -> BillingReport:
    return run_billing(
        actor=town.people.operator,
        now=NOW,
        services=services,
        first=BILLED[0],
        end=BILLED[1],
        accept_estimates=True,
    )


def read_month(town: Town, later_s: int) -> None:
    for day, count in zip(READ_DAYS, (1000, 1000 + 30 * A_DAY), strict=True):
        read(town, day, count, later_s)


@pytest.mark.parametrize("later_s", [0, BY_HAND_S], ids=["at midnight", "by hand"])
def test_a_month_is_billed_before_its_last_read_and_put_right_after(
    village: tuple[Town, Services], later_s: int
) -> None:
    town, services = village
    read_month(town, later_s)
    assert not bill(town, services).held
    whole = 31 * A_DAY * STEP_MILLIWH
    old = Bill.objects.get().energy_milliwh
    assert abs(old - whole) <= 1
    read(town, NEXT_READ, 1000 + 30 * A_DAY + 20 * A_DAY // 2, later_s)  # half as much a day since
    propose_rebills(services=services, now=NOW)
    after_s = start_of(BILLED[1]) - start_of(READ_DAYS[1]) - later_s
    fewer = after_s * A_DAY * STEP_MILLIWH // 2 // DAY_S
    assert abs(RebillProposal.objects.get().energy_milliwh - (whole - fewer)) <= 96


def test_who_knows_no_daily_load_has_no_bill(
    village: tuple[Town, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: nothing is asked after the days around."""
    monkeypatch.setattr(single_derive, "candidates_after", lambda *_: ())
    town, services = village
    read_month(town, 0)
    assert [held.error.code for held in bill(town, services).held] == ["billing.incomplete"]


def test_who_prorates_at_no_read_by_hand_has_no_bill(
    village: tuple[Town, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: reads off the grid bracket nothing."""
    monkeypatch.setattr(intervals, "add_boundaries", lambda knots, *_: knots)
    town, services = village
    read_month(town, BY_HAND_S)
    assert [held.error.code for held in bill(town, services).held] == ["billing.incomplete"]
