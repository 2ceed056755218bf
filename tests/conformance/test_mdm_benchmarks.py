"""The benchmarks of meter data at a hundredth of their size: each checks itself against its own truth."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
PRELUDE = """
import {name} as benchmark
ask = lambda rig, query: rig.store._transport.ask(query.encode(), "/")
"""

# After one day: each fault in turn, the checks, the fault taken back; what the checks said goes to stderr.
DAY_PLANTS = """
import json, sys
from itertools import chain
check = benchmark.check_all
VALUE = "ALTER TABLE {} UPDATE {} = {} {} 1 WHERE series_id = 1"

def plants(rig):
    from wattkeeper.data.alarms.models import Finding
    def update(table, column):
        return [lambda sign=sign: ask(rig, VALUE.format(table, column, column, sign)) for sign in "+-"]
    yield "value", *update("measurement", "value_milliwh")
    yield "determinant", *update("rate_day", "energy_milliwh")
    for rule in ("readings.rollover", "readings.jump", "vee.spike"):
        own = Finding.objects.filter(rule=rule)
        yield rule, own.delete, lambda held=list(own): Finding.objects.bulk_create(held)
    yield "read", lambda: ask(rig, "ALTER TABLE raw_read DELETE WHERE channel_id = 1"), None

def check_with_plants(rig, *given):
    told = {}
    for name, plant, undo in plants(rig):
        is_clean = check(rig, *given)["is_right"]
        plant()
        told[name] = is_clean and not check(rig, *given)["is_right"]
        if undo:
            undo()
    print("PLANTS", json.dumps(told), file=sys.stderr)
    return check(rig, *given)

benchmark.check_all = check_with_plants
"""
MONTH_PLANT = """
fill = benchmark.fill
def fill_wrongly(rig, energy):
    fill(rig, energy)
    ask(rig, "ALTER TABLE {table} UPDATE {column} WHERE series_id = 2")
benchmark.fill = fill_wrongly
"""


def run(name: str, *options: str, plant: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a benchmark in a process of its own after a plant."""
    code = PRELUDE.format(name=name) + plant + "\nbenchmark.main()"
    return subprocess.run(
        [sys.executable, "-c", code, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=BENCHMARKS,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
    )


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["mdm_day.py", "--meters", "100", "--slice", "60", "--peers", "20"], id="a day"),
        pytest.param(["meter_month.py", "--meters", "120", "--pandas", "2", "--peers", "2"], id="a month"),
    ],
)
def test_a_benchmark_finds_its_truth(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["is_right"]
    assert result["goal"].keys() == result["is_goal_met"].keys() == {"figure"}
    assert result["peers"]["myems"]["ratio"] > 0


@pytest.mark.slow
def test_each_fault_of_a_stored_day_is_seen() -> None:
    done = run("mdm_day", "--peers", "0", "--meters", "40", "--slice", "40", plant=DAY_PLANTS)
    told = json.loads(done.stderr.split("PLANTS ", 1)[1].splitlines()[0])
    kinds = ("value", "determinant", "readings.rollover", "readings.jump", "vee.spike", "read")
    assert told == dict.fromkeys(kinds, True), done.stdout
    assert done.returncode == 1  # the read stays lost


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("measurement", "value_milliwh = value_milliwh + 20000000"),
        ("rate_day", "held_count = held_count - 1"),
    ],
)
def test_a_fault_of_a_stored_month_is_seen(table: str, column: str) -> None:
    done = run(
        "meter_month", "--peers", "0", "--meters", "8", plant=MONTH_PLANT.format(table=table, column=column)
    )
    assert done.returncode == 1, done.stderr
    assert not json.loads(done.stdout)["is_right"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "is_right"),
    [
        pytest.param("ids", True, id="as planted"),
        pytest.param("ids - (ids == benchmark.MONTH_METER)", False, id="a fault that is not there"),
        pytest.param("ids + (ids == benchmark.MONTH_METER - 1)", False, id="a fault more"),
    ],
)
def test_exactly_the_faults_of_standing_rules_are_found(place: str, is_right: bool) -> None:
    plant = f"energies = benchmark.energies\nbenchmark.energies = lambda ids: energies({place})\n"
    done = run("standing_rules", "--meters", "50", plant=plant)
    assert json.loads(done.stdout)["is_right"] == is_right, done.stdout + done.stderr
    assert done.returncode == int(not is_right)


@pytest.mark.slow
def test_several_sizes_are_rows_of_one_result() -> None:
    done = run("mdm_day", "--peers", "0", "--meters", "40", "10")
    result = json.loads(done.stdout)
    assert result["n_meters"] == [10, 40]
    assert all(row["is_right"] for row in result["rows"])


@pytest.mark.parametrize(
    ("cost_ns", "memory_mb", "is_row_right", "is_right"),
    [(125, 150, True, True), (126, 100, True, False), (100, 151, True, False), (100, 100, False, False)],
)
def test_cost_and_memory_that_grow_are_wrong(
    benchmarks: None, cost_ns: int, memory_mb: int, is_row_right: bool, is_right: bool
) -> None:
    def row(cost_ns: int, memory_mb: int) -> dict[str, Any]:
        return {
            "figure": 1,
            "unit": "",
            "n_meters": 1,
            "ns_per_value": {"all": cost_ns},
            "peak_mb": {"pipeline": memory_mb},
            "is_right": is_row_right,
        }

    grown = import_module("mdm_day").grown([row(100, 100), row(cost_ns, memory_mb)])
    assert grown["is_right"] is is_right


@pytest.mark.parametrize("series_count", [10, 120])
def test_every_day_has_a_fault_of_each_kind(benchmarks: None, series_count: int) -> None:
    for seed in range(50):
        day = import_module("mdm_street").make_day(series_count, seed)
        assert all(np.any(kind) for kind in (day.surge_index >= 0, day.is_wrong, day.rolls, ~day.is_read))


@pytest.mark.parametrize(
    ("figure", "is_right", "is_strict", "code"),
    [(3, True, True, 0), (2, True, False, 0), (2, True, True, 2), (3, False, False, 1)],
)
def test_a_missed_goal_is_told_and_a_wrong_result_fails(
    benchmarks: None,
    capsys: pytest.CaptureFixture[str],
    figure: int,
    is_right: bool,
    is_strict: bool,
    code: int,
) -> None:
    rig = import_module("mdm_rig")
    result = rig.with_goals({"figure": figure, "is_right": is_right}, least={"figure": 3})
    with pytest.raises(SystemExit) as ended:
        rig.finish(result, is_strict=is_strict)
    assert ended.value.code == code
    told = capsys.readouterr()
    assert json.loads(told.out)["is_goal_met"] == {"figure": figure == 3}
    assert ("GOAL MISSED: figure is 2, goal >= 3" in told.err) is (figure == 2)


@pytest.mark.parametrize("name", ["pandas_day", "myems_day"])
def test_a_peer_is_compared_with_the_truth(benchmarks: None, name: str) -> None:
    peers, street = import_module("peers"), import_module("mdm_street")
    day, given = street.make_day(12, 3), {"is_sqlite": True} if name == "myems_day" else {}
    assert getattr(peers, name)(day, 1_780_243_200, **given)["is_right"]
    wrong = replace(day, energy=day.energy + peers.plain_series(day)[:, None])
    assert not getattr(peers, name)(wrong, 1_780_243_200, **given)["is_right"]


def test_a_peers_bills_are_compared_with_the_truth(benchmarks: None) -> None:
    month, peers = import_module("meter_month"), import_module("peers")
    energy = np.random.default_rng(3).poisson(12, (2, month.DAYS * month.QUARTERS)) * month.STEP_MILLIWH
    truth = [month.exact_bill(row) for row in energy]
    assert peers.myems_month(energy, truth, month.FIRST_S, is_sqlite=True)["is_right"]
    assert not peers.myems_month(energy, [truth[0], truth[1] + 1], month.FIRST_S, is_sqlite=True)["is_right"]
