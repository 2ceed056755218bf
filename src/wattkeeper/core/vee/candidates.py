"""What else may be known of missing intervals: other meters, other years, a class of customers, a fact."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.apportion import UnableToEstimate
from wattkeeper.core.vee.table import Mask

PROFILE_YEAR_MILLIWH = 10**9  # profiles are normalised to 1000 kWh a year


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """Energy by one method, one element for each interval of the series that is estimated.

    `energy_milliwh` counts where `is_known`.
    """

    method: Method
    energy_milliwh: Int64s
    is_known: Mask


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is asked before the series' own neighbours and days, and what after; in order of preference."""

    before: tuple[Candidate, ...] = ()
    after: tuple[Candidate, ...] = ()


NO_CANDIDATES = Candidates()


def from_check_meter(check_milliwh: Int64s, is_measured: Mask) -> Candidate:
    """Return what a check meter on the same line measured (AEMO method 11); multiplied, same direction."""
    return Candidate(Method.CHECK_METER, check_milliwh, is_measured & (check_milliwh >= 0))


def from_balance(
    feeder_milliwh: Int64s, others_milliwh: Int64s, loss_milliwh: Int64s, is_measured: Mask
) -> Candidate:
    """Return what the other flows of the node leave (AEMO method 12): feeder - other meters - loss.

    `others_milliwh` (others, intervals), the rest (intervals,); `is_measured`: the feeder and all others.
    Where more went out than came in, nothing is known.
    """
    left = feeder_milliwh - others_milliwh.sum(axis=0) - loss_milliwh
    return Candidate(Method.NETWORK_BALANCE, left, is_measured & (left >= 0))


def from_previous_year(
    last_year_milliwh: Int64s, is_measured: Mask, *, recent_milliwh: int, recent_last_year_milliwh: int
) -> Candidate:
    """Return E5, the same days of last year (AEMO method 23) times the growth since.

    ``E = E_lastyear * ADL_recent / ADL_recent_lastyear``: the two sums are those of the last actual period
    and of the same one a year ago, of the same length. Rounded down.

    :raises UnableToEstimate: if that period held nothing last year, or a sum is negative
    """
    if recent_last_year_milliwh <= 0 or recent_milliwh < 0:
        raise UnableToEstimate("vee.no-growth", recent_last_year_milliwh=recent_last_year_milliwh)
    energy = _times(np.where(is_measured, last_year_milliwh, 0), recent_milliwh, recent_last_year_milliwh)
    return Candidate(Method.PREVIOUS_YEAR, energy, is_measured & (last_year_milliwh >= 0))


def from_class_profile(profile_milliwh: Int64s, annual_milliwh: int) -> Candidate:
    """Return E6, a standard profile scaled to an annual estimate (AEMO methods 57, 63).

    ``E_i = profile_i * annual / 1000 kWh`` for a profile (intervals,) normalised to 1000 kWh a year, -1 where
    it has no value. Rounded down.
    """
    is_known = profile_milliwh >= 0
    energy = _times(np.where(is_known, profile_milliwh, 0), annual_milliwh, PROFILE_YEAR_MILLIWH)
    return Candidate(Method.CLASS_PROFILE, energy, is_known)


def from_known_zero(is_zero: Mask) -> Candidate:
    """Return zero where it is a fact (AEMO methods 19, 58, 68): disconnected, or the node had no supply."""
    return Candidate(Method.KNOWN_ZERO, np.zeros(len(is_zero), dtype=np.int64), is_zero)


def _times(energy_milliwh: Int64s, numerator: int, denominator: int) -> Int64s:
    """Return energy * numerator / denominator, rounded down, exact beyond 64 bits."""
    scaled = energy_milliwh.astype(object) * numerator // denominator
    result: Int64s = scaled.astype(np.int64)
    return result
