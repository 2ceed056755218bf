"""Edits: a reason, a second person above a threshold, and how long they hold."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.core.vee.energy_tables import series
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.vee.edits import Edit, UnableToEdit, apply_edits, check_edit
from wattkeeper.core.vee.reasons import REASON_CODES

KWH = 10**6
EDIT = Edit(1, 900, (70,), (20,), 23, author_id=1, recorded_at_s=5000)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"reason_code": 4}, "vee.edit-reason"),
        ({"reason_code": 0}, "vee.edit-free-text"),
        ({"reason_code": 0, "reason": " "}, "vee.edit-free-text"),
        ({"energy_milliwh": (1, 2)}, "vee.edit-length"),
        ({"energy_milliwh": (), "rejected_milliwh": ()}, "vee.edit-length"),
        ({"energy_milliwh": (-1,)}, "vee.edit-negative"),
        ({"energy_milliwh": (100 * KWH + 20,)}, "vee.edit-approval"),
        ({"energy_milliwh": (100 * KWH + 20,), "approver_id": 1}, "vee.edit-own-approval"),
    ],
)
def test_an_edit_without_what_it_needs_is_refused(changed: dict[str, Any], code: str) -> None:
    with pytest.raises(UnableToEdit) as refused:
        check_edit(replace(EDIT, **changed))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"reason_code": 0, "reason": "the inspector was there"},
        {"energy_milliwh": (100 * KWH + 19,)},
        {"energy_milliwh": (100 * KWH + 20,), "approver_id": 2},
    ],
)
def test_an_edit_with_what_it_needs_passes(changed: dict[str, Any]) -> None:
    check_edit(replace(EDIT, **changed))
    assert len(REASON_CODES) == 80


def value_at(derived: Any, edits: list[Edit], **options: int) -> tuple[int, int, list[str]]:
    found, findings = apply_edits(derived, edits, **options)
    return int(found.value_milliwh[1]), int(found.provenance[1]), [each.rule for each in findings]


def test_an_edit_holds_against_the_value_it_rejects_and_gives_way_to_another() -> None:
    assert value_at(series([10, 20, 30]), [EDIT]) == (70, Provenance.EDITED, [])
    assert value_at(series([10, 22, 30]), [EDIT]) == (22, Provenance.MEASURED, ["vee.edit-overtaken"])
    assert value_at(series([10, 70, 30]), [EDIT]) == (70, Provenance.MEASURED, [])
    assert value_at(series([10, None, 30]), [EDIT]) == (70, Provenance.EDITED, [])


@pytest.mark.parametrize("measured", [19, 21])
def test_what_a_day_carries_over_is_no_other_value(measured: int) -> None:
    assert value_at(series([10, measured, 30]), [EDIT]) == (70, Provenance.EDITED, [])


def test_an_edit_of_a_dark_interval_makes_no_lit_one_of_it() -> None:
    dark = series([10, 20, 30])
    dark.flags[1] = Flag.POWER_LOST | Flag.SUSPECT
    edited, _ = apply_edits(dark, [EDIT])
    assert (edited.value_milliwh[1], edited.flags[1]) == (70, Flag.POWER_LOST)


def test_a_suspect_value_overtakes_no_edit() -> None:
    doubtful = series([10, 25, 30])
    doubtful.flags[1] = Flag.SUSPECT
    assert value_at(doubtful, [EDIT])[:2] == (70, Provenance.EDITED)


def test_an_edit_of_nothing_gives_way_to_anything_measured() -> None:
    added = replace(EDIT, rejected_milliwh=(None,))
    assert value_at(series([10, None, 30]), [added]) == (70, Provenance.EDITED, [])
    assert value_at(series([10, 20, 30]), [added]) == (20, Provenance.MEASURED, ["vee.edit-overtaken"])


def test_a_withdrawn_edit_is_gone_and_what_was_known_can_be_asked() -> None:
    withdrawn = replace(EDIT, withdrawn_at_s=9000)
    measured = series([10, 20, 30])
    assert value_at(measured, [withdrawn])[0] == 20
    assert value_at(measured, [withdrawn], as_of_s=8999)[0] == 70
    assert value_at(measured, [withdrawn], as_of_s=9000)[0] == 20
    assert value_at(measured, [withdrawn], as_of_s=4999)[0] == 20


def test_the_later_of_two_edits_counts_in_any_order() -> None:
    later = replace(EDIT, edit_id=2, energy_milliwh=(80,), recorded_at_s=6000)
    same_time = replace(EDIT, edit_id=3, energy_milliwh=(90,), recorded_at_s=6000)
    for edits in permutations([EDIT, later, same_time]):
        assert value_at(series([10, 20, 30]), list(edits))[0] == 90


def test_an_edit_off_the_grid_or_outside_the_window_changes_nothing() -> None:
    measured = series([10, 20, 30])
    for starts_at_s in (901, -900, 2700):
        assert value_at(measured, [replace(EDIT, starts_at_s=starts_at_s)])[0] == 20
    across = replace(EDIT, starts_at_s=1800, energy_milliwh=(7, 8), rejected_milliwh=(30, None))
    assert apply_edits(measured, [across])[0].value_milliwh.tolist() == [10, 20, 7]


def test_what_is_left_of_a_gap_keeps_the_rest_of_its_energy() -> None:
    lost = series([10, None, None, None, 30])
    middle = replace(EDIT, starts_at_s=1800, energy_milliwh=(1001,), rejected_milliwh=(None,))
    gaps = apply_edits(lost, [middle])[0].gaps
    assert [(gap.first_index, gap.end_index, gap.energy_milliwh) for gap in gaps] == [
        (1, 2, 1000),
        (3, 4, 999),
    ]
    too_much = replace(middle, energy_milliwh=(3001,))
    assert [gap.energy_milliwh for gap in apply_edits(lost, [too_much])[0].gaps] == [None, None]
    whole = replace(EDIT, energy_milliwh=(1, 2, 3), rejected_milliwh=(None,) * 3)
    assert apply_edits(lost, [whole])[0].gaps == ()


@given(
    st.lists(st.none() | st.integers(0, 99), min_size=3, max_size=9), st.integers(0, 9), st.integers(0, 99)
)
def test_only_what_an_edit_names_can_change(values: list[int | None], place: int, energy: int) -> None:
    derived = series(values)
    edit = replace(EDIT, starts_at_s=900 * place, energy_milliwh=(energy,), rejected_milliwh=(None,))
    found, _ = apply_edits(derived, [edit])
    for i in range(len(values)):
        if i != place:
            assert found.value_milliwh[i] == derived.value_milliwh[i]
            assert found.provenance[i] == derived.provenance[i]
