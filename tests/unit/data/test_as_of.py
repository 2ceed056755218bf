"""`as of` any moment reproduces what was known then, with corrections in between."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relational import NOW, People, Street
from vee_world import AT, World
from wattkeeper.actions.findings.close_finding import close_finding
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.registry.retire_meter import retire_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set
from wattkeeper.actions.vee.decide_edit import withdraw_edit
from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.actions.virtual.nodes import BELONGINGS, add_node, set_belonging
from wattkeeper.actions.virtual.set_formula import set_formula
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.alarms import past
from wattkeeper.data.alarms.groups import list_finding_groups
from wattkeeper.data.alarms.queries import list_findings
from wattkeeper.data.collection.models import Run
from wattkeeper.data.collection.queries import begin_run, end_run, get_run_as_of
from wattkeeper.data.registry.models import Series, UsagePoint
from wattkeeper.data.virtual import nodes
from wattkeeper.data.virtual.nodes import ROOT, TREES
from wattkeeper.interfaces.reads.aggregation import GRAINS, Question, add_up
from wattkeeper.interfaces.reads.versions import interval_history, rules_between, run_as_of
from wattkeeper.interfaces.web.console.reads_overview import site_days
from wattkeeper.store.memory import MemoryReadingStore

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")
SPAN = to_seconds(NOW - timedelta(days=3)), to_seconds(NOW)


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


def energy(world: World, grain: str, as_of: datetime | None = None) -> list[list[int]]:
    """Return energy and counts of all usage points by hours, days or months, as of an instant or now."""
    days = 5 if grain == "hour" else 40
    asked = Question("site", ROOT, grain, (NOW - timedelta(days=days)).date(), NOW.date() + timedelta(days=1))
    sums = add_up(world.store, tenant_id=world.people.tenant.id, question=asked, now=world.now, as_of=as_of)
    figures = (sums.energy_milliwh, sums.due_count, sums.known_count, sums.estimated_count)
    return [each.sum(axis=0).tolist() for each in figures]


def findings(world: World, as_of: datetime | None = None) -> list[object]:
    """Return each finding and each group of open ones, as of an instant or now."""
    own = {"tenant_id": world.people.tenant.id, "as_of": as_of, "limit_count": 1000}
    each = list_findings(state=None, **own).items
    codes = rules_between(world.people.tenant.id, world.series.id, 900, SHANGHAI, *SPAN, as_of=as_of)
    return [each, list_findings(**own).items, list_finding_groups(**own).items, codes]


def everything(world: World, as_of: datetime | None = None) -> list[object]:
    """Return all that is offered as of an instant: values, energy by each grain, findings."""
    run_id = run_as_of(tenant_id=world.people.tenant.id, at=as_of)
    energies = [energy(world, grain, as_of) for grain in GRAINS]
    own = {"tenant_id": world.people.tenant.id, "now": world.now, "as_of": as_of}
    energies += site_days(world.store, **own, days_count=40)
    return [state_hash(world, run_id), energies, findings(world, as_of)]


Step = Callable[[], object]
Look = Callable[[World], list[object]]
Known = TypeVar("Known")


def lived(world: World, look: Look = everything) -> dict[datetime, list[object]]:
    """Return what was known at each of many moments: deliveries, edits, corrections."""
    people = world.people
    edit_ids: list[int] = []
    rule_set_id = add_rule_set(
        actor=people.administrator,
        now=NOW,
        document={"code": "no lines", "estimation": {"linear_max_s": 0}},
    )

    def edit() -> None:
        edit_ids.append(world.edit(people.operator, 44_000, 45_000))

    def withdraw() -> None:
        withdraw_edit(actor=people.operator, now=world.now, edit_id=edit_ids[-1])

    steps: list[Step] = [
        lambda: world.deliver(without=range(60, 140)),
        lambda: world.deliver(without=range(64, 70)),
        edit,
        withdraw,
        edit,  # what was found of the first one is found again
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
        withdraw,
        lambda: world.deliver(changed={150: 1}),
    ]
    return watched(world, steps, look)


def watched(world: World, steps: Sequence[Step], look: Look = everything) -> dict[datetime, list[object]]:
    """Return what was known before, between and after steps, each derived some seconds later."""
    then = {world.now: look(world)}
    for step in steps:
        world.now += MINUTE
        step()
        then[world.now + timedelta(seconds=5)] = look(world)
        world.now += timedelta(seconds=10, milliseconds=300)
        world.run()
        then[world.now] = look(world)
        then[world.now + timedelta(seconds=20)] = then[world.now]  # nothing happens until then
    return then


def told_otherwise(then: dict[datetime, Known], look_back: Callable[[datetime], Known]) -> datetime | None:
    """Return the first moment of which something else is told now than was known then; None if there is none.

    Nothing is looked at after that, nor are long answers laid side by side: faults are planted to be seen.
    """
    return next((at for at, known in then.items() if look_back(at) != known), None)


def test_as_of_any_moment_is_what_was_known_then(world: World) -> None:
    then = lived(world)
    assert told_otherwise(then, partial(everything, world)) is None
    assert len({str(known) for known in then.values()}) >= 8  # nothing, and a state after nearly each step
    assert everything(world) == everything(world, world.now)


def forget(*_given: object, **_more: object) -> None:
    """Do nothing and know nothing."""


def at_all_times(tenant_id: int, _at: datetime | None) -> object:
    """Return what is known now."""
    return past.findings_as_of(tenant_id, None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("interfaces.reads.versions.get_run_as_of", lambda **_more: Run.objects.latest("id").id),
        ("interfaces.reads.aggregation.run_as_of", forget),
        ("data.alarms.queries.findings_as_of", at_all_times),
        ("data.alarms.groups.findings_as_of", at_all_times),
        ("interfaces.reads.versions.findings_as_of", at_all_times),
        ("data.alarms.queries.keep_past", forget),
    ],
)
def test_answers_of_now_for_then_are_seen(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str, fault: Callable[..., object]
) -> None:
    """The comparison has teeth: an answer of now for every moment fails it."""
    monkeypatch.setattr(f"wattkeeper.{place}", fault)
    with pytest.raises(AssertionError):
        test_as_of_any_moment_is_what_was_known_then(world)


SOME = st.integers(0, 189)


@st.composite
def deliveries(draw: st.DrawFn) -> dict[str, Any]:
    """Return what is left out of a delivery, and the reads that it tells otherwise."""
    first = draw(SOME)
    changed = draw(st.dictionaries(SOME, st.sampled_from([-2000, -1, 1, 50_000]), max_size=2))
    return {"without": range(first, first + draw(SOME)), "changed": changed}


def check_moments(
    ours: People, services: Services, street: Street, told: list[dict[str, Any]], closes: bool
) -> None:
    """Whatever comes, in whatever order, late or told otherwise; a person may close what was found."""
    with transaction.atomic():
        world = World(ours, services, MemoryReadingStore(), street)

        def close() -> None:
            for row in list_findings(tenant_id=ours.tenant.id).items[:2]:
                close_finding(actor=ours.operator, now=world.now, finding_id=row.finding_id, comment="seen")

        steps: list[Step] = [partial(world.deliver, **each) for each in told]
        steps[1:1] = [close] * closes
        then = watched(world, steps)
        assert told_otherwise(then, partial(everything, world)) is None
        transaction.set_rollback(True)


ANY_DELIVERIES = given(told=st.lists(deliveries(), min_size=1, max_size=3), closes=st.booleans())
WORLD_IS_ROLLED_BACK = [HealthCheck.function_scoped_fixture]


@ANY_DELIVERIES
@settings(max_examples=2, suppress_health_check=WORLD_IS_ROLLED_BACK)
def test_as_of_any_moment_between_deliveries(
    ours: People, services: Services, street: Street, told: list[dict[str, Any]], closes: bool
) -> None:
    check_moments(ours, services, street, told, closes)


@pytest.mark.slow
@ANY_DELIVERIES
@settings(max_examples=8, suppress_health_check=WORLD_IS_ROLLED_BACK)
def test_as_of_more_moments_between_deliveries(
    ours: People, services: Services, street: Street, told: list[dict[str, Any]], closes: bool
) -> None:
    check_moments(ours, services, street, told, closes)


TOLD = [  # what, whether it is in something then, from how many hours ago on
    ("customer-point", True, 60),
    ("fed", True, 40),
    ("feeder-point", True, 50),
    ("customer-point", False, 30),
    ("fed", False, 40),
    ("area", True, 20),
    ("site", True, 45),
    ("customer-point", True, 10),
    ("customer-point", True, 20),
    ("fed", True, 0),
    ("site", False, 45),
    ("feeder-point", False, 5),
]


def by_part(world: World, as_of: datetime | None = None) -> list[dict[int, list[int]]]:
    """Return the energy of each part of the organisation in each tree, by day, as of an instant or now."""
    asked = [
        Question(tree, ROOT, "day", (NOW - timedelta(days=3)).date(), NOW.date() + timedelta(days=1))
        for tree in TREES
    ]
    own = {"tenant_id": world.people.tenant.id, "now": world.now, "as_of": as_of}
    sums = [add_up(world.store, question=question, **own) for question in asked]
    return [dict(zip(each.parts, each.energy_milliwh.tolist(), strict=True)) for each in sums]


def test_energy_as_of_goes_where_it_belonged_then(world: World) -> None:
    """Told in any order of who feeds whom and who belongs where, from hours in the past on."""
    world.deliver()
    actor, street = world.people.operator, world.street
    kinds = ("AREA", "FEEDER", "CUSTOMER")
    ids = {kind: add_node(actor=actor, now=NOW, kind=kind, code=kind, name=kind) for kind in kinds}
    upper_id = add_node(actor=actor, now=NOW, kind="AREA", code="UPPER", name="Upper")
    part_of = {"area": ids["AREA"], "site": street.site_id}
    then = {world.now: by_part(world)}
    for place, is_in, hours in TOLD:
        world.now += MINUTE
        own = {"actor": actor, "now": world.now, "at": NOW - timedelta(hours=hours)}
        if place == "fed":
            set_topology(child_id=street.point_id, parent_id=street.other_point_id if is_in else None, **own)
        else:
            whole_id = upper_id if place == "area" else ids[BELONGINGS[place].whole_kind]
            part_id = part_of.get(place, street.point_id)
            set_belonging(belonging=place, part_id=part_id, whole_id=whole_id if is_in else None, **own)
        then[world.now] = by_part(world)
    assert told_otherwise(then, partial(by_part, world)) is None
    assert len({str(known) for known in then.values()}) >= 10


def test_what_belongs_where_now_is_not_told_for_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has teeth: what is recorded now for every moment fails it."""
    linked = nodes._linked
    monkeypatch.setattr(nodes, "_linked", lambda *given: linked(*given[:3], None, *given[4:]))
    with pytest.raises(AssertionError):
        test_energy_as_of_goes_where_it_belonged_then(world)


def test_what_is_due_as_of_is_of_the_meters_that_were_told_by_then(world: World) -> None:
    """Meters come, go and are exchanged from days in the past on; a formula is set anew and taken away."""
    actor, street = world.people.operator, world.street
    read = {"final_read": 1, "initial_read": 1}
    other = {"meter_id": street.other_meter_id}
    virtual = {"site_id": street.site_id, "code": "V", "name": "V", "formula": "[U1]", "at": NOW - 2 * DAY}

    def add(own: dict[str, Any]) -> None:
        add_virtual_meter(actor=own["actor"], now=own["now"], **virtual)

    def set_to(formula: str, days: int, own: dict[str, Any]) -> None:
        point_id = UsagePoint.objects.get(code="V").id
        of_v = {"usage_point_id": point_id, "formula": formula, "at": NOW - days * DAY}
        set_formula(actor=own["actor"], now=own["now"], **of_v)

    steps: list[Callable[[dict[str, Any]], object]] = [
        lambda own: install_meter(**other, usage_point_id=street.other_point_id, at=NOW - 9 * DAY, **own),
        lambda own: remove_meter(**other, at=NOW - 4 * DAY, **own),
        lambda own: exchange_meter(
            meter_id=street.meter_id, new_meter_id=street.other_meter_id, at=NOW - 3 * DAY, **read, **own
        ),
        add,
        partial(set_to, "[U1] * 2", 3),
        partial(set_to, "", 3),
        partial(set_to, "[U1] * 3", 5),
        lambda own: retire_meter(actor=own["actor"], now=own["now"], **other, at=NOW - 1 * DAY),
    ]

    def due(as_of: datetime | None = None) -> list[int]:
        days = {"first_date": (NOW - 12 * DAY).date(), "end_date": NOW.date()}
        asked = Question("site", ROOT, "day", **days, kinds=("CUSTOMER", "VIRTUAL"))
        own = {"tenant_id": world.people.tenant.id, "now": world.now, "as_of": as_of}
        return add_up(world.store, question=asked, **own).due_count.sum(axis=0).tolist()

    then = {world.now: due()}
    for step in steps:
        world.now += MINUTE
        step({"actor": actor, "now": world.now, "services": world.services})
        then[world.now] = due()
    assert told_otherwise(then, due) is None
    assert len({str(known) for known in then.values()}) == 7  # an exchange and another formula change nothing


@pytest.mark.parametrize("name", ["_installed", "_linked"])
def test_what_is_due_by_what_is_told_now_is_seen(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = getattr(nodes, name)
    monkeypatch.setattr(
        nodes, name, lambda *given: real(*(None if isinstance(each, datetime) else each for each in given))
    )
    with pytest.raises(AssertionError):
        test_what_is_due_as_of_is_of_the_meters_that_were_told_by_then(world)


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
    lived(world, look=lambda _: [])
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
    assert [edit.state for edit in history.edits] == ["WITHDRAWN"] * 2
