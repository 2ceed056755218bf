"""A meter was exchanged, or its register set anew, in an outage: what was read off it then is energy too."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_beside_the_grid import DAY_S, ONE, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.readings import trace
from wattkeeper.core.registry.installations import RegisterReset
from wattkeeper.pipeline.ports import SeriesFacts

NEW = 12
CUTS_S = (START_S + DAY_S + 300, START_S + DAY_S + 5 * 3600 + 1200, START_S + DAY_S + 9 * 3600 + 61)
OUTAGE_S = (START_S + DAY_S - 9 * 3600, START_S + DAY_S + 12 * 3600)
NOW_S = START_S + 3 * DAY_S
Delivery = tuple[int, Row]


def make_world(cut_s: int, *, is_reset: bool) -> tuple[SeriesFacts, list[Delivery]]:
    """Return what a meter that counts a step a second told: each quarter but in an outage, and at the cut."""
    (own,) = facts().installations
    if is_reset:
        known = replace(facts(), installations=(replace(own, resets=(RegisterReset(cut_s, cut_s, 0),)),))
    else:
        new = replace(own, channel_id=NEW, starts_at_s=cut_s)
        known = replace(facts(), installations=(replace(own, ends_at_s=cut_s, multipliers=ONE), new))
    of_new = REGISTER if is_reset else NEW
    rows = [(REGISTER, (cut_s, cut_s, 0, int(Source.FIELD)))] * (not is_reset)
    rows += [(of_new, (cut_s, 0, 0, int(Source.FIELD)))]
    for at_s in range(START_S, NOW_S, QUARTER_S):
        if not OUTAGE_S[0] < at_s < OUTAGE_S[1]:
            channel_id, value = (REGISTER, at_s) if at_s < cut_s else (of_new, at_s - cut_s)
            rows.append((channel_id, (at_s, value, 0, int(Source.PROFILE))))
    return known, rows


def live(known: SeriesFacts, parts: Sequence[Sequence[Delivery]]) -> Street:
    street = Street([known], is_many=True)
    for part in parts:
        for channel_id, row in part:
            street.deliver(1, channel_id, [row])
        street.run(NOW_S)
    return street


def check(cut_s: int, *, is_reset: bool) -> None:
    known, rows = make_world(cut_s, is_reset=is_reset)
    before = [row for row in rows if row[1][0] <= cut_s]
    after = [row for row in rows if row[1][0] >= cut_s]
    for part, from_s, to_s in ((before, START_S, cut_s), (after, cut_s + QUARTER_S - 1, NOW_S - QUARTER_S)):
        first_s, end_s = from_s - (from_s - START_S) % QUARTER_S, to_s - (to_s - START_S) % QUARTER_S
        values = live(known, [part]).current()[1]
        told = [values[at_s] for at_s in range(first_s, end_s, QUARTER_S)]
        assert sum(value[0] for value in told) == (end_s - first_s) * 1000
    at_once, late = live(known, [rows]), live(known, [before, after])
    assert late.current() == live(known, [after, before]).current() == at_once.current()
    assert late.recorded == at_once.recorded
    assert sum(value[0] for value in at_once.current()[1].values()) == (NOW_S - QUARTER_S - START_S) * 1000


@pytest.mark.parametrize("is_reset", [True, False])
@pytest.mark.parametrize("cut_s", CUTS_S)
def test_what_was_read_at_the_end_is_energy_before_the_next_read_comes(cut_s: int, *, is_reset: bool) -> None:
    check(cut_s, is_reset=is_reset)


@pytest.mark.parametrize("is_reset", [True, False])
def test_reads_on_the_grid_on_both_sides_tell_it_exactly(*, is_reset: bool) -> None:
    """They bracket what is estimated between them: a bill may be issued with it."""
    known, rows = make_world(CUTS_S[1], is_reset=is_reset)
    values = live(known, [rows]).current()[1]
    gap = [value for at_s, value in values.items() if OUTAGE_S[0] <= at_s < OUTAGE_S[1]]
    assert {(value[1], value[2]) for value in gap} == {(Provenance.ESTIMATED, Flag.REGISTER_BRACKETED)}


def test_to_wait_for_the_next_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_has_within_day", lambda _knots, _chain, at_s, _step_s: at_s > 0)  # the plant
    with pytest.raises((AssertionError, KeyError)):
        check(CUTS_S[1], is_reset=False)
