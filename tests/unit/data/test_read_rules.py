"""Rules over reads, end to end: what is delivered is judged in the run that derives from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

from relational import NOW, People, Street, install_first
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.services import Services
from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.bootstrap.headend_reports import DataReports
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance, Source
from wattkeeper.core.readings.told import Told, mark_told
from wattkeeper.core.vee.registry import RULE_OF_FINDING
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow
from wattkeeper.data.registry.models import Channel, Installation, Series, ToldMultiplier
from wattkeeper.headend.ports import DeviceReport
from wattkeeper.pipeline.derive import run_once
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore

QUARTER_S = 900
NOW_S = to_seconds(NOW)
Row = tuple[int, int, int, int]
CLEAN: list[Row] = [(NOW_S - i * QUARTER_S, 90_000 - 3 * i, 0, Source.PROFILE) for i in range(3 * 96)]
CLEAN_AND_FROZEN: list[Row] = [*CLEAN, (*CLEAN[48][:2], 0, Source.FREEZE_DAILY)]  # two that agree


def fault(place: int, flags: int = 0, shift: int = 0, source: int = Source.PROFILE) -> Row:
    """Return a read at the instant of a clean one."""
    at_s, value, _, _ = CLEAN[place]
    return (at_s, value + shift, flags, source)


def planted(**rows: Row) -> list[Row]:
    """Return clean reads with some replaced (``at_40``) or beside them."""
    places = {int(name[3:]) for name in rows if name.startswith("at_")}
    return [row for i, row in enumerate(CLEAN) if i not in places] + list(rows.values())


@dataclass(frozen=True)
class Case:
    """A faulty delivery, what is found of it, and on what evidence."""

    rows: list[Row]
    evidence: Mapping[str, int | str]


CASES = {
    "vee.duplicate": Case(planted(again=fault(40, Flag.LATE)), {"read_count": 1}),
    "vee.device-status": Case(
        planted(at_40=fault(40, Flag.CLOCK_INVALID), at_41=fault(41, Flag.SUSPECT)),
        {"flags": int(Flag.SUSPECT | Flag.CLOCK_INVALID), "read_count": 2},
    ),
    "readings.register-backwards": Case(planted(at_40=fault(40, shift=-5000)), {"is_rejected": 1}),
    "readings.jump": Case(planted(at_40=fault(40, shift=500_000)), {"is_rejected": 1}),
    "readings.conflict": Case(
        planted(other=fault(40, shift=1, source=Source.FREEZE_DAILY)), {"lost_source": Source.FREEZE_DAILY}
    ),
    "vee.impossible-instant": Case(
        planted(ahead=(NOW_S + 3 * 3600, 90_001, 0, Source.PROFILE)), {"cause": "future", "read_count": 1}
    ),
}
BOTH_WAYS = pytest.mark.parametrize("is_many", [True, False], ids=["many", "one"])
EVERY_RULE = pytest.mark.parametrize("code", CASES)


@pytest.fixture
def series_id(ours: People, street: Street, services: Services) -> int:
    """The import series of a point whose meter has long been there."""
    install_first(ours, street, services, at=NOW - timedelta(days=100))
    DirtyWindow.objects.all().delete()
    return Series.objects.get(usage_point_id=street.point_id, quantity="energy_import").id


@pytest.fixture
def deliver(ours: People, street: Street, series_id: int) -> Callable[..., MemoryReadingStore]:
    """A function that delivers reads of the import register and runs the pipeline."""
    channel_id = Channel.objects.get(meter_id=street.meter_id, reading_type="energy_import_register_kwh").id

    def run(
        rows: list[Row], *, is_many: bool = True, store: MemoryReadingStore | None = None
    ) -> MemoryReadingStore:
        store = store or MemoryReadingStore()
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        columns = [np.ascontiguousarray(table[:, i]) for i in range(4)]
        nothing = np.zeros(len(table), dtype=np.int64)
        batch = RawBatch(
            ours.tenant.id, NOW_S, NOW_S, nothing + channel_id, *columns[:3], columns[3], nothing - 1
        )
        StoreSink(store, lambda: NOW).deliver([batch])
        ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
        assert not run_once(ports if is_many else replace(ports, many=None), NOW).failures
        return store

    return run


def found(code: str | None = None) -> list[tuple[Any, ...]]:
    """Return open findings, of all rules over reads or of one."""
    rows = Finding.objects.filter(state="OPEN").order_by("rule", "starts_at")
    return [
        (row.rule, row.subject_key, row.starts_at, row.ends_at, row.evidence)
        for row in rows
        if (row.rule == code if code else row.rule in RULE_OF_FINDING)
    ]


def judge_by(people: People, rules: dict[str, Any]) -> None:
    """Let a rule set hold from long ago."""
    document = {"code": "other", "rules": rules}
    rule_set_id = add_rule_set(actor=people.administrator, now=NOW, document=document)
    assign_rule_set(
        actor=people.administrator, now=NOW, starts_date=date(2026, 1, 1), rule_set_id=rule_set_id
    )


@EVERY_RULE
@BOTH_WAYS
def test_a_faulty_delivery_is_found_once(
    deliver: Callable[..., MemoryReadingStore], series_id: int, code: str, is_many: bool
) -> None:
    store = deliver(CASES[code].rows, is_many=is_many)
    ((rule, subject, _, _, evidence),) = found(code)
    assert (rule, subject) == (code, f"series:{series_id}")
    assert evidence.items() >= CASES[code].evidence.items()
    deliver(CASES[code].rows[-2:], is_many=not is_many, store=store)
    assert len(found(code)) == 1
    assert Finding.objects.filter(rule=code).count() == 1


@EVERY_RULE
@BOTH_WAYS
def test_a_rule_that_is_off_is_silent_and_one_put_off_closes(
    ours: People, deliver: Callable[..., MemoryReadingStore], code: str, is_many: bool
) -> None:
    store = deliver(CASES[code].rows, is_many=is_many)
    assert found(code)
    judge_by(ours, {RULE_OF_FINDING[code].code: {"severity": "off"}})
    ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
    run_once(ports if is_many else replace(ports, many=None), NOW)
    if code != "vee.impossible-instant":  # which lies ahead of everything that a run looks at again
        assert not found(code)
    Finding.objects.all().delete()
    deliver(CASES[code].rows, is_many=is_many)
    assert not found(code)


@BOTH_WAYS
def test_clean_reads_have_no_findings(deliver: Callable[..., MemoryReadingStore], is_many: bool) -> None:
    deliver(CLEAN_AND_FROZEN, is_many=is_many)
    assert not [rule for rule, *_ in found() if rule != "vee.constant"]


def test_thresholds_are_those_of_the_rule_set(
    ours: People, deliver: Callable[..., MemoryReadingStore]
) -> None:
    judge_by(
        ours,
        {
            "vee.impossible-instant": {"future_tolerance_s": 4 * 3600},
            "vee.device-status": {"failing_flags": int(Flag.POWER_LOST)},
        },
    )
    deliver(CASES["vee.impossible-instant"].rows)
    deliver(CASES["vee.device-status"].rows)
    assert not found("vee.impossible-instant")
    assert not found("vee.device-status")
    deliver(planted(at_60=fault(60, Flag.POWER_LOST)))
    assert len(found("vee.device-status")) == 1


@BOTH_WAYS
def test_what_a_device_doubts_is_not_validated_unless_the_rule_set_says_so(
    ours: People, series_id: int, deliver: Callable[..., MemoryReadingStore], is_many: bool
) -> None:
    rows = planted(at_40=fault(40, Flag.CLOCK_INVALID))
    at_s = [CLEAN[40][0] - QUARTER_S, CLEAN[40][0]]

    def validated() -> list[bool]:
        values = deliver(rows, is_many=is_many).measurements(
            ours.tenant.id, [series_id], at_s[0], at_s[1] + 1
        )
        return [bool(flags & Flag.VALIDATED) for flags in values.flags.tolist()]

    assert validated() == [False, False]
    judge_by(ours, {"vee.device-status": {"severity": "warn"}})
    assert validated() == [True, True]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("provenance", "flags", "count"),
    [
        (Provenance.ESTIMATED, Flag.VALIDATED, 0),
        (Provenance.EDITED, Flag.NONE, 0),
        (Provenance.ESTIMATED, Flag.SUSPECT, 1),
    ],
)
def test_what_a_file_calls_estimated_is_no_fault_of_the_meter(
    deliver: Callable[..., MemoryReadingStore], provenance: int, flags: int, count: int, is_many: bool
) -> None:
    told = mark_told(Told(*(np.array([each]) for each in (provenance, flags, int(Method.LINEAR)))))
    deliver(planted(at_40=fault(40, int(told[0]), source=Source.FILE)), is_many=is_many)
    assert len(found("vee.device-status")) == count


def test_any_order_and_batches_leave_the_same_findings(
    deliver: Callable[..., MemoryReadingStore],
) -> None:
    rows = planted(
        at_40=fault(40, Flag.CLOCK_INVALID),
        at_41=fault(41, Flag.CLOCK_INVALID),
        at_50=fault(50, Flag.SUSPECT),
        again=fault(70, Flag.LATE),
        also=fault(170, Flag.LATE),
        other=fault(90, shift=1, source=Source.FREEZE_DAILY),
        ahead=(NOW_S + 3 * 3600, 90_001, 0, Source.PROFILE),
    )
    left = []
    for seed in range(4):
        Finding.objects.all().delete()
        own, store = list(rows), MemoryReadingStore()
        Random(seed).shuffle(own)
        size = [len(rows), 60, 97, 150][seed]
        for start in range(0, len(own), size):
            deliver(own[start : start + size], store=store, is_many=seed % 2 == 0)
        left.append(found())
    assert left[0]
    assert all(each == left[0] for each in left)


def reported(street: Street, *, seconds: int = 0, **told: Any) -> None:
    """Let the head-end report of a meter, by a new process."""
    report = DeviceReport(street.meter_id, NOW, True, None, clock_offset_s=seconds)
    DataReports(lambda: NOW).report_devices([replace(report, **told)])


@pytest.mark.parametrize(("tolerance_s", "is_found"), [(None, True), (300, False), (150, True)])
def test_clocks_are_judged_by_the_rule_set(
    ours: People, street: Street, series_id: int, tolerance_s: int | None, is_found: bool
) -> None:
    assert series_id
    if tolerance_s is not None:
        judge_by(ours, {"vee.clock": {"tolerance_s": tolerance_s}})
    reported(street, seconds=60)
    assert not found()
    reported(street, seconds=200)
    assert len(found("collection.clock")) == is_found


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("vee.clock", {"seconds": 200}),
        ("vee.identity", {"error_code": "drivers.wrong-device"}),
        ("vee.unit", {"error_code": "drivers.unit-mismatch"}),
        ("vee.impossible-instant", {"error_code": "headend.stamp-too-early"}),
    ],
)
def test_what_the_head_end_judges_can_be_off(
    ours: People, street: Street, series_id: int, code: str, told: dict[str, Any]
) -> None:
    assert series_id
    reported(street)
    assert not found()
    reported(street, **told)
    assert len(found()) == 1
    Finding.objects.all().delete()
    judge_by(ours, {code: {"severity": "off"}})
    reported(street, **told)
    assert not found()


def test_who_answered_instead_is_told(street: Street, series_id: int) -> None:
    assert series_id
    params = {"expected": "M1", "found": "M2"}
    reported(
        street,
        is_answering=False,
        error_code="drivers.wrong-device",
        failures_count=3,
        error_params=params,
    )
    rows = Finding.objects.filter(state="OPEN").order_by("rule").values_list("rule", "evidence")
    evidence = {"error_code": "drivers.wrong-device", **params}
    assert list(rows) == [("collection.silent", evidence), ("vee.identity", evidence)]


def test_stamps_from_before_the_installation_are_found_until_they_are_sound(
    street: Street, series_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert series_id
    early = {"error_code": "headend.stamp-too-early"}
    reported(street, **early)
    ((rule, subject, *_),) = found()
    assert (rule, subject) == ("vee.impossible-instant", f"meter:{street.meter_id}")
    reported(street)  # by a process that did not see it
    assert not found()
    monkeypatch.setattr("wattkeeper.bootstrap.headend_reports.FAULTS", ())  # the plant: nobody judges it
    reported(street, **early)
    assert not found()


def test_a_foreign_unit_is_found_until_it_is_right_again(street: Street, series_id: int) -> None:
    assert series_id
    params = {"reading_type": "energy_import_register_kwh", "unit": 32}
    reported(street, error_code="drivers.unit-mismatch", error_params=params)
    ((rule, subject, _, _, evidence),) = found()
    assert (rule, subject) == ("vee.unit", f"meter:{street.meter_id}")
    assert evidence.items() >= {"reading_type": "energy_import_register_kwh", "unit": "32"}.items()
    reported(street, error_code="drivers.unit-mismatch", error_params=params)
    assert len(found()) == 1
    reported(street)  # by a process that did not see it
    assert not found()


def tell(street: Street, ratio: int, at: datetime) -> None:
    """Let the meter say by what its transformers multiply."""
    reported(street, at=at, multiplier=Fraction(ratio))


def multiply(ours: People, street: Street, by: int, at: datetime) -> None:
    """Record a multiplier."""
    change_multiplier(actor=ours.operator, now=NOW, usage_point_id=street.point_id, at=at, numerator=by)


@BOTH_WAYS
def test_a_multiplier_told_otherwise_is_found_and_its_values_are_not_validated(
    ours: People,
    street: Street,
    series_id: int,
    deliver: Callable[..., MemoryReadingStore],
    is_many: bool,
) -> None:
    at_s = CLEAN[40][0]

    def validated(store: MemoryReadingStore) -> dict[int, bool]:
        rows = store.measurements(ours.tenant.id, [series_id], at_s - 2 * QUARTER_S, at_s + 2 * QUARTER_S)
        assert len(set(rows.value_milliwh.tolist())) == 1  # nothing is ever multiplied by it
        return {
            (at - at_s) // QUARTER_S: bool(flags & Flag.VALIDATED)
            for at, flags in zip(rows.starts_at_s.tolist(), rows.flags.tolist(), strict=True)
        }

    tell(street, 1, NOW - timedelta(days=90))
    assert all(validated(deliver(CLEAN, is_many=is_many)).values())
    assert not found("vee.multiplier")

    tell(street, 80, from_seconds(at_s))
    store = deliver(CLEAN, is_many=is_many)
    assert validated(store) == {-2: True, -1: False, 0: False, 1: False}
    (first, *_) = found("vee.multiplier")
    assert first[:3] == ("vee.multiplier", f"series:{series_id}", from_seconds(at_s))
    assert first[4].items() >= {"told": "80/1", "known": "1/1"}.items()
    assert sum(row[4]["read_count"] for row in found("vee.multiplier")) == 41

    judge_by(ours, {"vee.multiplier": {"severity": "warn"}})
    run_once(pipeline_ports(store, ours.tenant.id, lambda: NOW), NOW)
    assert all(validated(store).values())
    assert found("vee.multiplier")


@BOTH_WAYS
def test_a_multiplier_that_is_registered_at_last_closes_what_was_found(
    ours: People, street: Street, deliver: Callable[..., MemoryReadingStore], is_many: bool
) -> None:
    multiply(ours, street, 40, NOW - timedelta(days=90))
    tell(street, 80, from_seconds(CLEAN[40][0]))
    store = deliver(CLEAN, is_many=is_many)
    assert {row[4]["known"] for row in found("vee.multiplier")} == {"40/1"}
    multiply(ours, street, 80, from_seconds(CLEAN[20][0]))
    ports = pipeline_ports(store, ours.tenant.id, lambda: NOW)
    run_once(ports if is_many else replace(ports, many=None), NOW)
    assert [row[4]["read_count"] for row in found("vee.multiplier")] == [20]
    multiply(ours, street, 80, from_seconds(CLEAN[40][0]))
    run_once(ports if is_many else replace(ports, many=None), NOW)
    assert not found("vee.multiplier")


def test_what_a_meter_tells_is_kept_when_it_changes(street: Street, series_id: int) -> None:
    assert series_id
    for days_ago, ratio in ((9, 1), (8, 80), (7, 80), (6, 1), (5, 80), (4, 2**31)):
        tell(street, ratio, NOW - timedelta(days=days_ago))
    kept = ToldMultiplier.objects.order_by("told_at").values_list("told_at", "numerator")
    assert [((NOW - at).days, numerator) for at, numerator in kept] == [(8, 80), (6, 1), (5, 80)]


@BOTH_WAYS
def test_a_meter_installed_lately_that_was_told_of_nothing_more_tells_nothing(
    ours: People, street: Street, deliver: Callable[..., MemoryReadingStore], is_many: bool
) -> None:
    Installation.objects.update(starts_at=NOW - timedelta(days=30))
    multiply(ours, street, 40, NOW - timedelta(days=29))
    DirtyWindow.objects.all().delete()
    tell(street, 80, from_seconds(CLEAN[40][0]))
    tell(street, 1, from_seconds(CLEAN[10][0]))
    deliver(CLEAN, is_many=is_many)
    assert sum(row[4]["read_count"] for row in found("vee.multiplier")) == 30
