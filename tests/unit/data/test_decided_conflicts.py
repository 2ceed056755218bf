"""Two values for one instant: a person decides by a noted read or an edit, and the finding says by which."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relational import NOW, People
from unit.actions.test_import_qualities import FIRST_S, bring, file_of
from unit.data.test_exact_bills import STARTS_S, Town, town
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.decide_edit import withdraw_edit
from wattkeeper.actions.vee.edit_values import edit_values
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Series
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.memory import MemoryReadingStore

__all__ = ["town"]


def conflict() -> tuple[str, str | None]:
    """Return the state of the conflict, and what decided it."""
    finding = Finding.objects.get(rule="readings.conflict")
    assert (finding.state == "CLOSED") is (finding.closed_at is not None)
    return finding.state, finding.evidence.get("decided_by")


class Files:
    """Two files that differ in one interval, and a person's edit of it."""

    def __init__(self, people: People, services: Services, store: MemoryReadingStore) -> None:
        self.people, self.store = people, store
        self.services = replace(services, store=store, measured=measured_by(store, lambda: NOW))

    def derive(self) -> None:
        """Derive what is dirty."""
        while DirtyWindow.objects.exists():
            ports = pipeline_ports(self.store, self.people.tenant.id, lambda: NOW)
            assert not run_once(ports, NOW).failures

    def larger(self) -> None:
        """Bring the file whose value stands."""
        bring(self.people, self.services, self.store, file_of([]).replace(b"0.002007", b"0.005"))

    def smaller(self) -> None:
        """Bring the other one."""
        bring(self.people, self.services, self.store, file_of([]))

    def edit(self) -> None:
        """Say that it was neither; of what isn't measured yet there is nothing to reject."""
        edit_values(
            actor=self.people.operator,
            now=NOW,
            services=self.services,
            series_id=Series.objects.get().id,
            starts_at=from_seconds(FIRST_S + 1800),
            energy_milliwh=[4_000],
            reason_code=51,
            reason="",
        )
        self.derive()


@pytest.fixture
def files(ours: People, services: Services, store: MemoryReadingStore) -> Files:
    return Files(ours, services, store)


def test_an_edit_decides_between_two_files_until_it_is_withdrawn(files: Files) -> None:
    files.larger()
    files.smaller()
    assert conflict() == ("OPEN", None)
    files.edit()
    assert conflict() == ("CLOSED", "edit")
    for _ in range(2):
        withdraw_edit(actor=files.people.operator, now=NOW, edit_id=StoredEdit.objects.latest("id").id)
        files.derive()
        assert conflict() == ("OPEN", None)
        files.edit()
        assert conflict() == ("CLOSED", "edit")


def test_an_edit_of_another_interval_decides_nothing(files: Files) -> None:
    files.larger()
    files.smaller()
    edit_values(
        actor=files.people.operator,
        now=NOW,
        services=files.services,
        series_id=Series.objects.get().id,
        starts_at=from_seconds(FIRST_S),
        energy_milliwh=[4_000],
        reason_code=51,
        reason="",
    )
    files.derive()
    assert conflict() == ("OPEN", None)


@pytest.mark.parametrize(
    ("order", "ends"),
    [
        (("larger", "smaller", "edit"), ("CLOSED", "edit")),
        (("smaller", "larger", "edit"), ("CLOSED", "edit")),
        (("larger", "edit", "smaller"), ("CLOSED", "edit")),
        (("smaller", "edit", "larger"), ("OPEN", None)),  # it rejected another value: it is overtaken
    ],
)
def test_the_other_file_may_come_later(
    files: Files, order: tuple[str, ...], ends: tuple[str, str | None]
) -> None:
    for name in order:
        step: Callable[[], None] = getattr(files, name)
        step()
    assert conflict() == ends


def test_a_noted_read_decides_what_a_register_showed(town: Town) -> None:
    at_s, meter_id = STARTS_S[2000], town.meters["U1"]
    town.read("U1", meter_id, [at_s], at_s - 900, 1 + 1000 + sum_before(town, at_s - 900))
    town.settle()
    assert conflict() == ("OPEN", None)
    shown = 1000 + sum_before(town, at_s)
    about: dict[str, Any] = {"actor": town.people.operator, "now": NOW, "services": town.services}
    note_read(**about, meter_id=meter_id, at=from_seconds(at_s), read=shown)
    town.settle()
    assert conflict() == ("CLOSED", "noted-read")


def sum_before(town: Town, at_s: int) -> int:
    """Return what U1 used before an instant."""
    return sum(count for each, count in town.used["U1"].items() if each < at_s)
