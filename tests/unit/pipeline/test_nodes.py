"""What the others of a node tell of one: sums below, the balance above, who is fed when, what is doubtful."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unit.core.vee.energy_tables import QUARTER_S, series
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import Candidate
from wattkeeper.pipeline import nodes
from wattkeeper.pipeline.nodes import candidate_in_node
from wattkeeper.pipeline.ports import MeasurementRows, NodeMeters

FEEDER, ONE, TWO, THREE, BACK, FEEDER_BACK = range(1, 7)
COUNT = 4
GRID = dict.fromkeys((FEEDER, ONE, TWO, THREE, BACK, FEEDER_BACK), QUARTER_S)
ALWAYS = tuple((own, 0, None) for own in (ONE, TWO, THREE))
Values = Mapping[int, Sequence[int | None]]


def stored(values: Values, *, flags: int = 0) -> MeasurementRows:
    """Return rows of some series from time 0; None is estimated."""
    rows = [
        (own, place * GRID[own], energy or 0, Provenance.ESTIMATED if energy is None else Provenance.MEASURED)
        for own, each in values.items()
        for place, energy in enumerate(each)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4).T.copy()
    nothing = np.zeros(len(rows), dtype=np.int64)
    return MeasurementRows(*table, nothing + flags, nothing)


def target(*, interval_s: int = QUARTER_S) -> Intervals:
    """Return a series of which nothing is measured."""
    return series([None] * COUNT, interval_s=interval_s, registers=False)


def ask(
    rows: MeasurementRows, series_id: int, node: NodeMeters, derived: Intervals | None = None
) -> Candidate:
    """Return what a node tells of one of its series."""
    found = candidate_in_node(
        lambda ids, span: MeasurementRows(
            *(getattr(rows, name)[np.isin(rows.series_id, ids)] for name in MeasurementRows.__slots__)
        ),
        node,
        series_id,
        derived or target(),
    )
    assert found is not None
    return found


def known(found: Candidate) -> list[int | None]:
    """Return what is known, None where nothing is."""
    pairs = zip(found.energy_milliwh.tolist(), found.is_known.tolist(), strict=True)
    return [energy if is_known else None for energy, is_known in pairs]


def test_one_below_gets_what_the_feeder_has_left() -> None:
    rows = stored({FEEDER: [1000] * COUNT, TWO: [300, 300, None, 800], THREE: [100, 200, 100, 300]})
    found = ask(rows, ONE, NodeMeters(FEEDER, ALWAYS, GRID))
    assert found.method == Method.NETWORK_BALANCE
    assert known(found) == [600, 500, None, None]  # one estimated, one with more out than in
    assert known(ask(rows, ONE, NodeMeters(FEEDER, ALWAYS, GRID, 50_000)))[:2] == [550, 450]


def test_the_feeder_gets_what_all_below_measured_and_the_loss() -> None:
    rows = stored({ONE: [950, None, 95, 0], TWO: [0] * COUNT, THREE: [0] * COUNT})
    found = ask(rows, FEEDER, NodeMeters(FEEDER, ALWAYS, GRID, 50_000))
    assert found.method == Method.CHECK_METER
    assert known(found) == [1000, None, 100, 0]


def test_only_who_is_fed_counts_and_who_is_fed_for_a_part_of_an_interval_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = ((ONE, 0, None), (TWO, 0, QUARTER_S + 60), (TWO, 3 * QUARTER_S, None))
    rows = stored({FEEDER: [1000] * COUNT, TWO: [100, 100, None, 100], ONE: [1] * COUNT})
    node = NodeMeters(FEEDER, parts, GRID)
    assert known(ask(rows, ONE, node)) == [900, None, 1000, 900]
    assert known(ask(rows, TWO, node)) == [999, None, None, 999]
    assert known(ask(rows, FEEDER, node)) == [101, None, 1, 101]
    always = np.ones(COUNT, dtype=np.bool_)
    monkeypatch.setattr(nodes, "_fed", lambda *_: (always, always))  # the plant: whoever was fed once is
    assert known(ask(rows, ONE, node)) == [900, 900, None, 900]


@pytest.mark.parametrize("flag", [Flag.SUSPECT, Flag.CLOCK_INVALID])
def test_what_is_doubtful_tells_nothing(flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stored({FEEDER: [1000] * COUNT, TWO: [0] * COUNT, THREE: [0] * COUNT}, flags=int(flag))
    assert known(ask(rows, ONE, NodeMeters(FEEDER, ALWAYS, GRID))) == [None] * COUNT
    monkeypatch.setattr(nodes, "DOUBTFUL_FLAGS", 0)  # the plant
    assert known(ask(rows, ONE, NodeMeters(FEEDER, ALWAYS, GRID))) == [1000] * COUNT


def test_finer_grids_are_added_up_and_coarser_ones_tell_nothing() -> None:
    node = NodeMeters(FEEDER, ((ONE, 0, None),), {FEEDER: QUARTER_S, ONE: 2 * QUARTER_S})
    rows = stored({FEEDER: [1, 2, 3, None]})
    assert known(ask(rows, ONE, node, target(interval_s=2 * QUARTER_S)))[:2] == [3, None]
    coarse = NodeMeters(FEEDER, ((ONE, 0, None),), {FEEDER: 2 * QUARTER_S, ONE: QUARTER_S})
    assert known(ask(rows, ONE, coarse)) == [None] * COUNT


def test_a_node_says_nothing_of_a_stranger_and_an_empty_one_nothing_of_its_feeder() -> None:
    node = NodeMeters(FEEDER, ((ONE, 0, None),), GRID)
    assert candidate_in_node(lambda *_: stored({}), node, TWO, target()) is None
    assert candidate_in_node(lambda *_: stored({}), NodeMeters(FEEDER, (), GRID), FEEDER, target()) is None


LOSS_PPM = 100_000
BOTH_WAYS = NodeMeters(
    FEEDER, ALWAYS, GRID, LOSS_PPM, backs=((BACK, 0, None),), feeder_backs=((FEEDER_BACK, 0, None),)
)


def balanced(draw: np.random.Generator) -> dict[int, list[int | None]]:
    """Return flows that balance to the milliwatt-hour: three take, the third gives back, and so does all."""
    net = 10 * draw.integers(-100, 100, COUNT)
    used = net - np.abs(net) // 10
    one, two, more, feeder_more = draw.integers(0, 1000, (4, COUNT))
    third = used - one - two
    taken, given = np.maximum(third, 0) + more, np.maximum(-third, 0) + more
    back = np.maximum(-net, 0) + feeder_more
    flows = dict(
        zip(
            (FEEDER, ONE, TWO, THREE, BACK, FEEDER_BACK),
            (net + back, one, two, taken, given, back),
            strict=True,
        )
    )
    return {own: each.tolist() for own, each in flows.items()}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"backs": ()},
        {"feeder_backs": ()},
        {"loss_ppm": 0},
        {"parts": ALWAYS[:1] + ALWAYS[2:]},
        {"backs": ((BACK, QUARTER_S, None),)},
    ],
    ids=lambda wrong: f"without {', '.join(wrong)}" if wrong else "right",
)
def test_what_one_takes_is_what_all_flows_of_both_directions_leave(wrong: dict[str, Any]) -> None:
    draw, differing = np.random.default_rng(7), 0
    for _ in range(20):
        flows = balanced(draw)
        for series_id in (ONE, FEEDER):
            rows = stored({own: each for own, each in flows.items() if own != series_id})
            found = known(ask(rows, series_id, replace(BOTH_WAYS, **wrong)))
            differing += found != flows[series_id]
    assert (differing > 0) is bool(wrong)  # each but the first is a plant


@pytest.mark.parametrize("silent", [TWO, THREE, BACK, FEEDER_BACK])
def test_where_one_flow_was_not_measured_nothing_is_known(silent: int) -> None:
    flows = balanced(np.random.default_rng(7))
    rows = stored({own: each for own, each in flows.items() if own not in (ONE, silent)})
    assert known(ask(rows, ONE, BOTH_WAYS)) == [None] * COUNT


def test_nobody_gave_back_what_no_meter_was_there_to_measure() -> None:
    rows = stored(
        {FEEDER: [1000] * COUNT, TWO: [300] * COUNT, THREE: [0] * COUNT, BACK: [None, None, 50, 50]}
    )
    node = NodeMeters(FEEDER, ALWAYS, GRID, backs=((BACK, 2 * QUARTER_S, None),))
    assert known(ask(rows, ONE, node)) == [700, 700, 750, 750]
