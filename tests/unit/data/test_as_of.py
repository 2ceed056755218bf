"""`as of` any moment reproduces what was known then, with corrections in between."""

from datetime import timedelta
from hashlib import sha256

import pytest

from relational import NOW, People, Street
from vee_world import AT, World
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set
from wattkeeper.actions.vee.decide_edit import withdraw_edit
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.queries import begin_run, end_run, get_run_as_of
from wattkeeper.data.registry.models import Series
from wattkeeper.interfaces.reads.versions import interval_history, run_as_of
from wattkeeper.store.memory import MemoryReadingStore

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(ours: People, services: Services, store: MemoryReadingStore, street: Street) -> World:
    """Our measured series; its clock is moved by the test."""
    return World(ours, services, store, street)


def state_hash(world: World, run_id: int | None = None) -> str:
    """Return a hash over every value with its quality, as of a run."""
    series_ids = list(Series.objects.order_by("id").values_list("id", flat=True))
    rows = world.store.measurements(world.people.tenant.id, series_ids, 0, 2**31, as_of_run_id=run_id)
    days = world.store.roll_ups(world.people.tenant.id, series_ids, [(0, 2**31)], as_of_run_id=run_id)
    digest = sha256()
    for part in (rows, days):
        for name in type(part).__slots__:
            if name != "run_id":
                digest.update(getattr(part, name).tobytes())
    return digest.hexdigest()


def lived(world: World) -> dict[object, str]:
    """Return the hash at each of many moments, recorded as they were: deliveries, edits, corrections."""
    people, then = world.people, {}
    edit_ids: list[int] = []
    rule_set_id = add_rule_set(
        actor=people.administrator,
        now=NOW,
        document={"code": "no lines", "estimation": {"linear_max_s": 0}},
    )

    steps = [
        lambda: world.deliver(without=range(60, 140)),
        lambda: world.deliver(without=range(64, 70)),
        lambda: edit_ids.append(world.edit(people.operator, 44_000, 45_000)),
        lambda: change_multiplier(
            actor=people.operator,
            now=world.now,
            usage_point_id=world.street.point_id,
            at=NOW - timedelta(days=1),
            numerator=40,
        ),
        lambda: assign_rule_set(
            actor=people.administrator,
            now=world.now,
            starts_date=(NOW - timedelta(days=3)).date(),
            rule_set_id=rule_set_id,
        ),
        lambda: world.deliver(),
        lambda: withdraw_edit(actor=people.operator, now=world.now, edit_id=edit_ids[0]),
        lambda: world.deliver(changed={150: 1}),
    ]
    then[world.now - MINUTE] = state_hash(world)
    for step in steps:
        world.now += MINUTE
        step()  # type: ignore[no-untyped-call]
        then[world.now + timedelta(seconds=5)] = state_hash(world)  # not derived yet: as before
        world.now += timedelta(seconds=10, milliseconds=300)
        world.run()
        then[world.now] = state_hash(world)
        then[world.now + timedelta(seconds=20)] = state_hash(world)
    return then


def test_as_of_any_moment_is_what_was_known_then(world: World) -> None:
    then = lived(world)
    tenant_id = world.people.tenant.id
    later = {at: state_hash(world, run_as_of(tenant_id=tenant_id, at=at)) for at in then}  # type: ignore[arg-type]
    assert later == then
    assert len(set(then.values())) >= 8  # nothing, and a state after nearly each step
    assert state_hash(world) == state_hash(world, run_as_of(tenant_id=tenant_id, at=world.now))


def test_answers_of_now_for_then_are_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has teeth: the newest run for every moment fails it."""
    newest = "wattkeeper.interfaces.reads.versions.get_run_as_of"
    monkeypatch.setattr(newest, lambda *, tenant_id, at: Run.objects.latest("id").id)
    with pytest.raises(AssertionError):
        test_as_of_any_moment_is_what_was_known_then(world)


def test_a_run_is_known_when_its_values_could_be_read(ours: People) -> None:
    """Two runs side by side: what the later one stored first is told with the earlier one's end."""
    own = {"tenant_id": ours.tenant.id}
    slow, fast = (begin_run(**own, now=NOW, rule_set="r", code_version="c") for _ in range(2))
    end_run(run_id=fast, values_count=1, stored_at=NOW + MINUTE)
    end_run(run_id=slow, values_count=1, stored_at=NOW + 3 * MINUTE)
    assert get_run_as_of(**own, at=NOW - MINUTE) is None
    assert get_run_as_of(**own, at=NOW + 2 * MINUTE) is None
    assert get_run_as_of(**own, at=NOW + 3 * MINUTE) == fast
    died = begin_run(**own, now=NOW + 4 * MINUTE, rule_set="r", code_version="c")
    assert get_run_as_of(**own, at=NOW + 5 * MINUTE) == died


def test_every_version_of_an_interval_is_told(world: World) -> None:
    lived(world)
    series = Series.objects.select_related("usage_point__site").get(id=world.series.id)
    history = interval_history(world.store, series=series, starts_at_s=to_seconds(AT))
    quality = [version.row.provenance.name for version in history.versions]
    assert quality[0] == "MEASURED"
    assert {"EDITED", "ESTIMATED"} <= set(quality)
    assert [version.row.run_id for version in history.versions] == sorted(
        {version.row.run_id for version in history.versions}, reverse=True
    )
    assert history.versions[0].rule_set == "no lines"
    assert history.versions[-1].rule_set == "default-2"
    assert all(version.known_from is not None for version in history.versions)
    assert [edit.state for edit in history.edits] == ["WITHDRAWN"]
