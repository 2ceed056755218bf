"""V24 on stored days: what goes into a feeder, what its meters took of it, and what is lost on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import DAY, RollUpRows
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.core.vee.periods import iter_ruled_days
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set_plan import FOREVER_S, RulePlan
from wattkeeper.core.vee.table import EnergyTable, Mask
from wattkeeper.core.vee.validate import Known, run_rules

BALANCE = RULE_BY_CODE["vee.feeder-balance"]
PPM = 10**6
NO_METER = 0  # no series has this id


@dataclass(frozen=True, slots=True)
class Part:
    """What a point behind a feeder takes (`sign` 1) or gives back (-1) over ``[from_s, to_s)``.

    `series_id` `NO_METER`: a point that is not measured. `to_s` None: to this day.
    """

    series_id: int
    from_s: int
    to_s: int | None
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Feeder:
    """A main meter, by the series of what it takes, and what it feeds.

    `back_id`: the series of what it gives back, `NO_METER` without. `loss_ppm`: what is lost of what goes in.
    `rests`: when a virtual meter stands for what the parts leave, so that they need not be the whole.
    """

    series_id: int
    parts: tuple[Part, ...]
    back_id: int = NO_METER
    loss_ppm: int = 0
    rests: tuple[tuple[int, int | None], ...] = ()


def list_series(feeders: Sequence[Feeder]) -> list[int]:
    """Return every series that the balances of feeders need, rising."""
    mains = {own for feeder in feeders for own in (feeder.series_id, feeder.back_id)}
    parts = {part.series_id for feeder in feeders for part in feeder.parts}
    return sorted((mains | parts) - {NO_METER})


def judge_feeders(
    days: RollUpRows, feeders: Sequence[Feeder], *, day_bounds_s: Int64s, plan: RulePlan
) -> list[Finding]:
    """Return the local days on which feeders and what is behind them do not balance (V24).

    `day_bounds_s`: local midnights of the feeders; of `days` those that start at one count. A day is judged
    if the feeder feeds anything, each interval of each series was measured or edited, and no part came or
    went within the day. Where a point has no meter or a virtual meter stands for the rest, the meters may
    leave something, but not exceed what went in.
    """
    if not feeders:
        return []
    series_id = np.array([NO_METER, *list_series(feeders)], dtype=np.int64)
    energy, is_whole = _by_day(days, series_id, day_bounds_s)
    mains = np.searchsorted(series_id, [feeder.series_id for feeder in feeders])
    backs = np.searchsorted(series_id, [feeder.back_id for feeder in feeders])
    sent = energy[mains] - energy[backs]
    losses = np.array([[feeder.loss_ppm] for feeder in feeders], dtype=np.int64)
    loss = np.abs(sent) // PPM * losses + np.abs(sent) % PPM * losses // PPM
    parts = [(index, part) for index, feeder in enumerate(feeders) for part in feeder.parts]
    index = np.array([each[0] for each in parts], dtype=np.int64)
    rows = np.searchsorted(series_id, [part.series_id for _, part in parts])
    sign = np.array([[part.sign] for _, part in parts], dtype=np.int64)
    is_any, is_all = _held([(part.from_s, part.to_s) for _, part in parts], day_bounds_s)
    is_metered = rows[:, np.newaxis] > 0
    is_fed, is_partly = np.zeros((2, *sent.shape), dtype=np.bool_)
    np.logical_or.at(is_fed, index, is_all)
    np.logical_or.at(is_partly, index, is_any & ~is_metered)
    for place, feeder in enumerate(feeders):
        is_partly[place] |= _held(feeder.rests, day_bounds_s)[0].any(axis=0)
    has_back = backs[:, np.newaxis] > 0
    is_judged = is_fed & is_whole[mains] & (is_whole[backs] | ~has_back)
    table = EnergyTable(
        np.concatenate((series_id[rows], series_id[mains])),
        day_bounds_s[:-1],
        DAY_S,
        np.concatenate((np.where(is_any, sign * energy[rows], 0), np.zeros_like(sent))),
        np.concatenate((~is_any | ~is_metered | (is_all & is_whole[rows]), is_judged)),
    )
    known = Known(
        feeder_index=np.concatenate((index, np.arange(len(feeders)))),
        feeder_milliwh=sent,
        feeder_series_id=series_id[mains],
    )
    findings: list[Finding] = []
    for first, end, rule_set in iter_ruled_days(plan, day_bounds_s):
        if not rule_set.is_off(BALANCE.code):
            own = replace(
                known,
                day_bounds_s=day_bounds_s[first : end + 1],
                loss_milliwh=loss[:, first:end],
                is_partly_metered=is_partly[:, first:end],
            )
            findings += run_rules(table, own, rule_set, [BALANCE])
    return findings


def _by_day(days: RollUpRows, series_id: Int64s, day_bounds_s: Int64s) -> tuple[Int64s, Mask]:
    """Return the energy of series by day and on which no interval lacks a value, shape (series, days)."""
    is_own = (days.grain == DAY) & np.isin(days.series_id, series_id)
    own = days.take(is_own & np.isin(days.starts_at_s, day_bounds_s[:-1]))
    at = np.searchsorted(series_id, own.series_id), np.searchsorted(day_bounds_s, own.starts_at_s)
    energy = np.zeros((len(series_id), len(day_bounds_s) - 1), dtype=np.int64)
    is_whole = np.zeros(energy.shape, dtype=np.bool_)
    energy[at] = own.energy_milliwh
    is_whole[at] = own.measured_count + own.edited_count == own.expected_count
    return energy, is_whole


def _held(spans: Sequence[tuple[int, int | None]], day_bounds_s: Int64s) -> tuple[Mask, Mask]:
    """Return on which days spans hold at any moment, and on which all day, shape (spans, days)."""
    from_s = np.array([[span[0]] for span in spans], dtype=np.int64).reshape(-1, 1)
    to_s = np.array([[FOREVER_S if span[1] is None else span[1]] for span in spans], dtype=np.int64)
    to_s = to_s.reshape(-1, 1)
    starts_s, ends_s = day_bounds_s[:-1], day_bounds_s[1:]
    return (from_s < ends_s) & (to_s > starts_s), (from_s <= starts_s) & (to_s >= ends_s)
