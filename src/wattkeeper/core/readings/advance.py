"""How far a register went between two reads, and which reads can stand on one line."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.usual_power import WITHSTOOD_TIMES

BACKWARDS = -1
JUMP = -2
DOUBT_COUNT = 16  # reads on each side of an impossible step that are judged one by one
LINE_COUNT = 8  # a register that starts anew more often in one derivation is not to be believed
LOOKBACK_COUNT = 64  # a stretch of rejected reads between two good ones has at most this many runs
SPELL_MAX_S = 4 * 86_400  # what contradicts the reads before and after it for longer is judged with neither
SPELL_COUNT = 2  # so many reads are, however far apart
VOTE_S = 86_400  # reads nearer to an impossible step have a vote
BREAK_REACH_S = 2 * SPELL_MAX_S + VOTE_S  # reads so far from one tell what it is: two spells, and who votes
_WITHSTOOD_MOST = np.iinfo(np.int64).max // WITHSTOOD_TIMES  # counts; twice a higher limit passes 64 bits
_TOGETHER_COUNT = 1024  # runs whose predecessors are looked at together: what bounds memory

AdvanceRule = Callable[[Int64s, Int64s, int | None, Int64s], Int64s]
"""(previous, current, modulus, advance_max) in counts -> advance in counts, or BACKWARDS or JUMP."""


def register_advance(previous: Int64s, current: Int64s, modulus: int | None, advance_max: Int64s) -> Int64s:
    """Return how many counts a register went forward between two values, element by element.

    A smaller value is a rollover (``current - previous + modulus``) only where the service can carry that
    much in the time, `advance_max`; else the result is BACKWARDS. A larger value beyond what the service
    withstands, `WITHSTOOD_TIMES` as much, is a JUMP. Rule V07 (Oracle, Itron: register advance with
    dials and a daily maximum).
    """
    advance = current - previous
    is_lower = advance < 0
    if modulus is not None:
        advance = np.where(is_lower, advance + modulus, advance)
    impossible = np.where(is_lower, BACKWARDS, JUMP)
    withstood = WITHSTOOD_TIMES * np.minimum(advance_max, _WITHSTOOD_MOST)
    most = np.where(is_lower, advance_max, withstood)
    return np.where((advance < 0) | (advance > most), impossible, advance)


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Which reads stand on which line. All arrays have one element for each read kept.

    `index`: its place among the reads given; `chain`: the line it stands on, rising with time; `advance`:
    counts since the read before on the same line, 0 for the first. `breaks`: first and last place of each
    stretch of reads that the stretch before contradicts, with the verdict and whether it was rejected.
    """

    index: NDArray[np.intp]
    chain: Int64s
    advance: Int64s
    breaks: tuple["Break", ...]


@dataclass(frozen=True, slots=True)
class Break:
    """Reads `first` to `last` do not follow from read `before`: `verdict` is BACKWARDS or JUMP."""

    before: int
    first: int
    last: int
    verdict: int
    is_rejected: bool


def link_reads(
    at_s: Int64s,
    values: Int64s,
    modulus: int | None,
    advance_max: Callable[[NDArray[np.intp], NDArray[np.intp]], Int64s],
    rule: AdvanceRule = register_advance,
) -> Chains:
    """Return the lines on which the register's `values`, in order of time, can stand.

    Where every step is possible there is one line. Else the line that most reads vote for wins, reads within
    its span that contradict it are rejected, and what lies before or after it is linked the same way by
    itself: a register that was reset starts a new line and no energy is invented between the two. After
    `LINE_COUNT` lines the rest is rejected, so that garbage costs bounded time.

    A stretch has the votes of a day beside an impossible step, half of it at each end where there are two;
    one that keeps its neighbours apart for more than `SPELL_MAX_S` is of another spell at each end. So the
    reads of some days around an impossible step tell what becomes of it, however many there are besides.
    """
    places = np.arange(len(values), dtype=np.intp)

    def advance_between(left: NDArray[np.intp], right: NDArray[np.intp]) -> Int64s:
        return rule(values[left], values[right], modulus, advance_max(left, right))

    steps = advance_between(places[:-1], places[1:])
    if not (steps < 0).any():
        return Chains(places, np.zeros_like(values), np.concatenate(([0], steps))[: len(values)], ())
    cuts = np.flatnonzero(steps < 0) + 1
    middles = _find_middles(at_s, cuts)
    runs = _split_at(cuts, middles, len(values))
    lines = _pick_lines(_Votes.count(at_s, cuts, middles, runs), runs, set(middles.tolist()), advance_between)
    return _assemble(runs, lines, places, advance_between)


Run = tuple[int, int]
Steps = Callable[[NDArray[np.intp], NDArray[np.intp]], Int64s]


def _find_middles(at_s: Int64s, cuts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return where stretches between two cuts that last too long for one spell are parted."""
    first, last = cuts[:-1], cuts[1:] - 1
    is_long = (at_s[last + 1] - at_s[first - 1] > SPELL_MAX_S) & (last - first >= SPELL_COUNT)
    middle_s = (at_s[first[is_long]] + at_s[last[is_long]]) // 2
    return np.searchsorted(at_s, middle_s, side="right")


def _split_at(cuts: NDArray[np.intp], middles: NDArray[np.intp], count: int) -> list[Run]:
    """Return runs of reads that surely belong together: single ones near a cut, long ones elsewhere."""
    near = cuts[:, np.newaxis] + np.arange(-DOUBT_COUNT, DOUBT_COUNT + 1)
    edges = np.unique(np.concatenate(([0, count], middles, near[(near > 0) & (near < count)])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class _Votes:
    """Of each run how many of its reads have a vote, and of which part between cuts and middles it is."""

    count_of: list[int]
    part_of: list[int]

    @classmethod
    def count(
        cls, at_s: Int64s, cuts: NDArray[np.intp], middles: NDArray[np.intp], runs: Sequence[Run]
    ) -> "_Votes":
        edges = np.sort(np.concatenate(([0], cuts, middles)))
        part = np.searchsorted(edges, np.arange(len(at_s)), side="right") - 1
        ends = np.append(edges[1:], len(at_s))
        begins, is_cut = np.isin(edges, cuts), np.isin(ends, cuts)
        reach_s = np.where(begins & is_cut, VOTE_S // 2, VOTE_S)
        is_early = begins[part] & (at_s < (at_s[edges] + reach_s)[part])
        is_late = is_cut[part] & (at_s > (at_s[ends - 1] - reach_s)[part])
        total = np.concatenate(([0], np.cumsum(is_early | is_late)))
        bounds = np.array(runs, dtype=np.intp).reshape(-1, 2)
        return cls((total[bounds[:, 1]] - total[bounds[:, 0]]).tolist(), part[bounds[:, 0]].tolist())


def _pick_lines(votes: _Votes, runs: list[Run], middles: Set[int], advance_between: Steps) -> list[list[int]]:
    """Return the lines, each the indices of its runs; those on both sides of a middle are one."""
    lines: list[list[int]] = []
    firsts = [i for i, (first, _) in enumerate(runs) if first in middles]
    for first, last in pairwise([0, *firsts, len(runs)]):
        own = _pick_between(votes, runs, first, last, advance_between)
        if lines and lines[-1][-1] == first - 1 and own[0][0] == first:
            lines[-1] += own.pop(0)
        lines += own
    return lines


def _pick_between(
    votes: _Votes, runs: list[Run], first: int, last: int, advance_between: Steps
) -> list[list[int]]:
    lines: list[list[int]] = []
    waiting = [(first, last)]
    while waiting and len(lines) < LINE_COUNT:
        first, last = waiting.pop()
        if first < last:
            line = _best_line(votes, runs, first, last, advance_between)
            lines.append(line)
            waiting += [(first, line[0]), (line[-1] + 1, last)]
    return sorted(lines)


def _best_line(votes: _Votes, runs: list[Run], first: int, last: int, advance_between: Steps) -> list[int]:
    """Return the line through ``runs[first:last]`` with most votes.

    Of equals that which begins in the earliest part, with all that goes on from it.
    """
    score, part = votes.count_of[first:last], votes.part_of[first:last]
    parent = [-1] * len(score)

    def rank(i: int) -> tuple[int, int, int]:
        return score[i], -part[i], i

    for i, earlier in _possible(runs[first:last], advance_between):
        best = max(earlier, key=rank)
        score[i] += score[best]
        parent[i], part[i] = best, part[best]
    i = max(range(len(score)), key=rank)
    line = [first + i]
    while parent[i] >= 0:
        i = parent[i]
        line.append(first + i)
    return line[::-1]


def _possible(runs: list[Run], advance_between: Steps) -> Iterator[tuple[int, list[int]]]:
    """Yield the runs that may follow an earlier one, at most `LOOKBACK_COUNT` before, with all those."""
    bounds = np.array(runs, dtype=np.intp).reshape(-1, 2)
    back = np.arange(LOOKBACK_COUNT, 0, -1)
    for start in range(1, len(runs), _TOGETHER_COUNT):
        later = np.arange(start, min(start + _TOGETHER_COUNT, len(runs)))
        earlier = later[:, np.newaxis] - back
        row, column = np.nonzero(earlier >= 0)
        before = earlier[row, column]
        is_possible = advance_between(bounds[before, 1] - 1, bounds[later[row], 0]) >= 0
        row, before = row[is_possible], before[is_possible]
        cuts = np.searchsorted(row, np.arange(len(later) + 1)).tolist()
        found = before.tolist()
        for i, (first, end) in zip(later.tolist(), pairwise(cuts), strict=True):
            if first < end:
                yield i, found[first:end]


def _assemble(
    runs: list[Run], lines: list[list[int]], places: NDArray[np.intp], advance_between: Steps
) -> Chains:
    index = [np.concatenate([places[slice(*runs[i])] for i in line]) for line in lines]
    chain = [np.full(len(kept), number, dtype=np.int64) for number, kept in enumerate(index)]
    advance = [np.concatenate(([0], advance_between(kept[:-1], kept[1:]))) for kept in index]
    breaks = tuple(_find_breaks(runs, lines, advance_between))
    return Chains(np.concatenate(index), np.concatenate(chain), np.concatenate(advance), breaks)


def _find_breaks(runs: list[Run], lines: list[list[int]], advance_between: Steps) -> Iterator[Break]:
    """Yield each stretch of rejected reads, and each line that does not go on from the one before."""
    kept = [i for line in lines for i in line]
    starts = {line[0] for line in lines[1:]}

    def describe(before: int, first: int, last: int, *, is_rejected: bool) -> Break:
        step = int(advance_between(np.array([before]), np.array([first]))[0])
        return Break(before, first, last, BACKWARDS if step == BACKWARDS else JUMP, is_rejected)

    if kept[0] > 0:
        yield describe(runs[kept[0]][0], 0, runs[kept[0]][0] - 1, is_rejected=True)
    if kept[-1] < len(runs) - 1:
        end = runs[kept[-1]][1]
        yield describe(end - 1, end, runs[-1][1] - 1, is_rejected=True)
    for earlier, later in pairwise(kept):
        before = runs[earlier][1] - 1
        if later > earlier + 1:
            yield describe(before, runs[earlier + 1][0], runs[later - 1][1] - 1, is_rejected=True)
        if later in starts:
            yield describe(before, runs[later][0], runs[later][1] - 1, is_rejected=False)
