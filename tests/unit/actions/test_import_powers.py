"""What a usage point that files made may carry follows from all its files, whichever comes first."""

from collections.abc import Sequence
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest

from relational import NOW, People, make_people
from unit.actions.test_import_lengths import DAY, FIRST_AT, HEAD, bring, file_of, state
from unit.actions.test_import_registers import derive
from wattkeeper.actions.collection import carried_power
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.models import Site, Tenant, UsagePoint
from wattkeeper.store.memory import MemoryReadingStore


def used(kwh: str, *, first_at: datetime = FIRST_AT, count: int = 24, channel: str = "import") -> str:
    """Return hours of a factory, all alike."""
    text = file_of(3600, channel=channel, first_at=first_at, days=2).replace(",0.500000,", f",{kwh},")
    return "".join(text.splitlines(keepends=True)[: 1 + count])


NORMAL = used("10000")
LATER_IN_ANOTHER_UNIT = used("10000000", first_at=FIRST_AT + 2 * DAY)
A_SLIP_BEFORE = used("10000000", first_at=FIRST_AT - DAY, count=1)
GIVEN_BACK = used("15000", first_at=FIRST_AT + DAY, channel="export")
REGISTERS = HEAD.replace("usage_point,", "usage_point,meter_serial,") + (
    "P1,M1,import,2026-11-01T00:00:00Z,0,1000,kWh,measured\n"
    "P1,M1,import,2026-11-02T00:00:00Z,0,241000,kWh,measured\n"
)


def comes_to(services: Services, store: MemoryReadingStore, files: Sequence[str]) -> dict[str, Any]:
    own = make_people(f"{Tenant.objects.count()}")
    for content in files:
        assert bring(own, services, content) == []
        derive(own, store)
    return {**state(own, store), "power": UsagePoint.objects.get(tenant=own.tenant).power_max_w}


@pytest.mark.alike
@pytest.mark.parametrize(
    ("files", "power_w"),
    [
        ((NORMAL, LATER_IN_ANOTHER_UNIT), 40_000_000),
        ((NORMAL, A_SLIP_BEFORE), 40_000_000),
        ((NORMAL, REGISTERS), 40_000_000),
        ((NORMAL, used("12000", count=30)), 48_000_000),
        ((NORMAL, GIVEN_BACK, LATER_IN_ANOTHER_UNIT), 60_000_000),
    ],
    ids=["another unit", "a slip", "registers", "more of the same", "both ways"],
)
def test_any_order_of_files_ends_in_the_same_power_and_state(
    db: None, services: Services, store: MemoryReadingStore, files: Sequence[str], power_w: int
) -> None:
    wanted, *others = (comes_to(services, store, order) for order in permutations(files))
    assert wanted["power"] == power_w
    assert all(other == wanted for other in others)


def test_a_power_of_the_file_that_came_first_is_caught(
    db: None, services: Services, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        carried_power, "_is_news", lambda _told, _name, known: known == {}
    )  # the planted fault
    orders = permutations((NORMAL, LATER_IN_ANOTHER_UNIT))
    first, last = (comes_to(services, store, order) for order in orders)
    assert first["power"] != last["power"]
    assert first["values"] != last["values"]


def test_what_a_person_said_stays(ours: People, services: Services, store: MemoryReadingStore) -> None:
    bring(ours, services, LATER_IN_ANOTHER_UNIT)
    point = UsagePoint.objects.get()
    edit_usage_point(actor=ours.operator, now=NOW, usage_point_id=point.id, power_max_w=123_000)
    bring(ours, services, NORMAL)
    own = {"site_id": Site.objects.get().id, "code": "P2", "name": "P2"}
    add_usage_point(actor=ours.operator, now=NOW, **own)
    bring(ours, services, NORMAL.replace("P1,M1", "P2,M2"))
    assert list(UsagePoint.objects.order_by("id").values_list("power_max_w", flat=True)) == [123_000, 20_000]


def test_what_a_person_said_stays_if_it_is_what_files_tell(
    ours: People, services: Services, store: MemoryReadingStore
) -> None:
    bring(ours, services, NORMAL)
    point = UsagePoint.objects.get()
    told_w = point.power_max_w
    edit_usage_point(actor=ours.operator, now=NOW, usage_point_id=point.id, power_max_w=told_w)
    bring(ours, services, used("10000000", first_at=FIRST_AT - DAY))
    assert UsagePoint.objects.get().power_max_w == told_w
