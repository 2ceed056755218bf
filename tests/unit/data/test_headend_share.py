"""Several head-ends: each reads its own links, sends the commands of its own meters, and is one process."""

import sqlite3
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from relational import NOW, People, Street
from wattkeeper.actions.commands.outbox import list_to_read_back, take
from wattkeeper.actions.operations.backup import _add_spool
from wattkeeper.actions.operations.verify_records import check_spool
from wattkeeper.actions.registry.edit_link import edit_link
from wattkeeper.bootstrap.headend_ports import DataPlan
from wattkeeper.bootstrap.headend_share import OwnedPlan, metrics_path, spool_folder
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.leases import forget_holder, take_lease
from wattkeeper.data.collection.models import Link
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Meter
from wattkeeper.headend.spool import Spool
from wattkeeper.store.verify import Check


class Ownership:
    """A duty that is held or not, as the test says."""

    def __init__(self) -> None:
        self.fence_id: int | None = None


def make_command(people: People, meter_id: int, state: str) -> Command:
    return Command.objects.create(
        tenant_id=people.tenant.id,
        meter_id=meter_id,
        kind="RECONNECT",
        state=state,
        reason="paid",
        idempotency_key=f"{meter_id}-{state}",
        requested_by_id=people.operator.user_id,
        requested_at=NOW,
        valid_until=NOW + timedelta(hours=1),
    )


def test_a_link_belongs_to_one_head_end(ours: People, street: Street, tmp_path: Path) -> None:
    main, north = DataPlan(tmp_path, lambda: NOW), DataPlan(tmp_path, lambda: NOW, "north")
    before = main.revision()
    assert ([link.link_id for link in main.links()], north.links()) == ([street.link_id], [])
    edit_link(actor=ours.operator, now=NOW, link_id=street.link_id, headend="north")
    assert main.revision() != before
    assert (main.links(), [link.link_id for link in north.links()]) == ([], [street.link_id])


@pytest.mark.parametrize("name", ["", "North", "a.b", "*", "north\n"])
def test_a_name_that_is_no_part_of_a_subject_is_refused(ours: People, street: Street, name: str) -> None:
    with pytest.raises(WattkeeperError):
        edit_link(actor=ours.operator, now=NOW, link_id=street.link_id, headend=name)
    assert Link.objects.get(id=street.link_id).headend == "main"


def test_a_plan_is_empty_while_another_process_is_this_head_end(
    ours: People, street: Street, tmp_path: Path
) -> None:
    ownership = Ownership()
    plan = OwnedPlan(DataPlan(tmp_path, lambda: NOW), ownership)  # type: ignore[arg-type]
    revisions = [plan.revision()]
    assert plan.links() == ()
    ownership.fence_id = 3
    revisions.append(plan.revision())
    assert [link.link_id for link in plan.links()] == [street.link_id]
    ownership.fence_id = None
    assert plan.links() == ()
    assert len(set(revisions)) == 2


def test_a_command_leaves_from_the_head_end_that_reads_the_meter(ours: People, street: Street) -> None:
    edit_link(actor=ours.operator, now=NOW, link_id=street.link_id, headend="north")
    Meter.objects.filter(id=street.other_meter_id).update(link=None)
    for meter_id in (street.meter_id, street.other_meter_id):
        make_command(ours, meter_id, "QUEUED")
        make_command(ours, meter_id, "SENT")
    assert [command.meter_id for command in list_to_read_back(headend="north")] == [street.meter_id]
    assert [command.meter_id for command in list_to_read_back()] == [street.other_meter_id]
    assert take(now=NOW, headend="south") == []
    assert [command.meter_id for command in take(now=NOW, headend="north")] == [street.meter_id]
    assert [command.meter_id for command in take(now=NOW)] == [street.other_meter_id]
    assert take(now=NOW, headend="north") == []


@pytest.mark.usefixtures("db")
def test_a_head_end_that_died_is_followed_at_once_by_its_own_next_process_only() -> None:
    def look(holder: str) -> bool:
        return take_lease("headend:north", holder=holder, watch=Watch()) is not None

    assert look("machine:place")
    forget_holder("headend:north", holder="another:place")
    assert not look("another:place")
    forget_holder("headend:north", holder="machine:place")
    assert look("machine:place")


def test_each_head_end_has_a_spool_and_counters_of_its_own(tmp_path: Path) -> None:
    names = ("main", "north", "south")
    assert len({spool_folder(tmp_path, name) for name in names}) == 3
    assert len({metrics_path(tmp_path, name) for name in names}) == 3
    assert spool_folder(tmp_path, "main") == tmp_path / "spool"


def test_a_spool_of_its_own_is_backed_up_and_verified(tmp_path: Path) -> None:
    own = spool_folder(tmp_path, "north")
    spool = Spool(own)
    spool.append([b"one", b"two"])
    with tarfile.open(tmp_path / "backup.tar", "w") as tar:
        _add_spool(tar, tmp_path / "spool", tmp_path)
        assert tar.getnames() == ["spool/headend-north/segment-0000000001.sqlite"]
    spool.close()
    check = Check("spool")
    check_spool(check, tmp_path / "spool")
    assert (check.examined_count, check.faults) == (2, [])
    with sqlite3.connect(own / "segment-0000000001.sqlite") as segment:
        segment.execute("UPDATE batch SET content = X'00' WHERE row_id = 2")
    check_spool(check, tmp_path / "spool")
    assert [fault.place for fault in check.faults] == [
        {"file": "headend-north/segment-0000000001.sqlite", "row": 2}
    ]
