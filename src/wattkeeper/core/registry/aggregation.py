"""Who belonged to whom, when: dated memberships as arrays, so that sums over parts are the sum of the whole.

A link says that a part is in a whole over ``[from_s, to_s)``. A part is in one whole at a time, so every
interval of a leaf counts once on each level, for the whole that holds it at its start; a change of topology
moves nothing that lies before its date. All arrays are int64 of shape (n,); instants in UTC seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.registry.topology import InvalidTopology

SINCE_EVER_S, OPEN_S = 0, 2**34 - 1
LEVELS_MAX_COUNT = 64
_INSTANT_BITS = 34
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """`part` is in `whole` over ``[from_s, to_s)``; open ends are `OPEN_S`."""

    part: Int64s
    whole: Int64s
    from_s: Int64s
    to_s: Int64s

    def __len__(self) -> int:
        return len(self.part)

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int | None]]) -> "Links":
        """Return links of (part, whole, from, to or None)."""
        plain = [(*row[:3], OPEN_S if row[3] is None else row[3]) for row in rows]
        table = np.array(plain, dtype=np.int64).reshape(-1, 4)
        return cls(*(np.ascontiguousarray(table[:, i]) for i in range(4)))

    @classmethod
    def always(cls, part: Int64s, whole: Int64s) -> "Links":
        """Return links that always held."""
        return cls(part, whole, np.full(len(part), SINCE_EVER_S), np.full(len(part), OPEN_S))

    def plus(self, *others: "Links") -> "Links":
        """Return all links together."""
        everything = (self, *others)
        names = self.__slots__
        return Links(*(np.concatenate([getattr(each, name) for each in everything]) for name in names))

    def where(self, chosen: "Mask | NDArray[np.intp]") -> "Links":
        """Return the links of a mask, or at some places."""
        return Links(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """`leaf` lay in `node` over ``[from_s, to_s)``, through its direct part `via`."""

    leaf: Int64s
    node: Int64s
    via: Int64s
    from_s: Int64s
    to_s: Int64s

    def __len__(self) -> int:
        return len(self.leaf)

    def where(self, chosen: "Mask | NDArray[np.intp]") -> "Members":
        """Return the memberships of a mask, or at some places."""
        return Members(*(getattr(self, name)[chosen] for name in self.__slots__))

    def of_node(self, node: int) -> "Members":
        """Return the members of one node in order of leaf and time."""
        own = self.where(self.node == node)
        return own.where(np.lexsort((own.from_s, own.leaf)))


def links_told(told: Iterable[tuple[int, int | None, int]]) -> Links:
    """Return the links that (part, whole, from) told one after another made; whole None: in nothing.

    What is told holds from its instant until the end of the link that it cuts, else until the part's next
    link.
    """
    held: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
    for part, whole, at_s in told:
        own = held[part]
        cut = next((link for link in own if link[2] <= at_s < link[3]), None)
        to_s = cut[3] if cut else min((link[2] for link in own if link[2] > at_s), default=OPEN_S)
        if cut:
            own.remove(cut)
            own += [(*cut[:3], at_s)] * (cut[2] < at_s)
        if whole is not None:
            own.append((part, whole, at_s, to_s))
    return Links.of([link for own in held.values() for link in own])


def fill_gaps(links: Links, parts: Int64s, root: int) -> Links:
    """Return the links with every part in `root` for the time in which it is in nothing else."""
    order = np.lexsort((links.from_s, links.part))
    own = links.where(order)
    is_first = np.append(True, own.part[1:] != own.part[:-1])[: len(own)]
    before_s = np.where(is_first, SINCE_EVER_S, np.append(SINCE_EVER_S, own.to_s[:-1])[: len(own)])
    is_last = np.append(is_first[1:], True)[: len(own)]
    alone = np.setdiff1d(parts, own.part)
    part = np.concatenate((own.part, own.part[is_last], alone))
    from_s = np.concatenate((before_s, own.to_s[is_last], np.full(len(alone), SINCE_EVER_S)))
    to_s = np.concatenate((own.from_s, np.full(int(is_last.sum()) + len(alone), OPEN_S)))
    gaps = Links(part, np.full(len(part), root), from_s, to_s)
    return own.plus(gaps.where(gaps.to_s > gaps.from_s))


def within_gaps(links: Links, others: Links) -> Links:
    """Return `others`, cut to the time in which their parts are in nothing of `links`."""
    gaps = fill_gaps(links, np.unique(others.part), -1)
    gaps = gaps.where(gaps.whole == -1)
    left, right = _pairs(others.part, gaps.part)
    from_s = np.maximum(others.from_s[left], gaps.from_s[right])
    to_s = np.minimum(others.to_s[left], gaps.to_s[right])
    found = Links(others.part[left], others.whole[left], from_s, to_s)
    return found.where(to_s > from_s)


def past(links: Links, over: Int64s) -> Links:
    """Return links of every part to the first whole above it, at each time, that is none of `over`.

    :raises InvalidTopology: ``topology.cycle`` where a part is in itself
    """
    starts = -1 - links.part  # only through `over` does it go on
    steps = Links(starts, links.whole, links.from_s, links.to_s).plus(links.where(np.isin(links.part, over)))
    members = find_members(steps, np.unique(starts), SINCE_EVER_S, OPEN_S)
    members = members.where(~np.isin(members.node, over))
    return Links(-1 - members.leaf, members.node, members.from_s, members.to_s)


def find_members(links: Links, leaves: Int64s, from_s: int, to_s: int) -> Members:
    """Return in which nodes on every level leaves lay within ``[from_s, to_s)``, and through which part.

    :raises InvalidTopology: ``topology.cycle`` where a part is in itself
    """
    count = len(leaves)
    state = Members(leaves, leaves, leaves, np.full(count, from_s), np.full(count, to_s))
    found: list[Members] = []
    for _ in range(LEVELS_MAX_COUNT):
        left, right = _pairs(state.node, links.part)
        starts_s = np.maximum(state.from_s[left], links.from_s[right])
        ends_s = np.minimum(state.to_s[left], links.to_s[right])
        state = Members(state.leaf[left], links.whole[right], state.node[left], starts_s, ends_s)
        state = state.where(ends_s > starts_s)
        if not len(state):
            return _together(found, leaves)
        found.append(state)
    raise InvalidTopology("topology.cycle", child_id=int(state.leaf[0]))


def _together(found: Sequence[Members], leaves: Int64s) -> Members:
    if not found:
        return Members(*(leaves[:0] for _ in Members.__slots__))
    return Members(*(np.concatenate([getattr(each, name) for each in found]) for name in Members.__slots__))


def place_rows(
    members: Members, leaf: Int64s, starts_at_s: Int64s, ends_at_s: Int64s
) -> tuple[NDArray[np.intp], Mask]:
    """Return for each row of a leaf the place of its membership, -1 for none, and which rows a change cuts.

    `members`: of one node, in order of leaf and time. A row that is cut has to be split into shorter ones;
    an interval never is: it belongs where its start lies.
    """
    leaves, rank = np.unique(members.leaf, return_inverse=True)
    keys = (rank.astype(np.int64) << _INSTANT_BITS) + members.from_s
    first = _place(members, leaves, keys, leaf, starts_at_s)
    last = _place(members, leaves, keys, leaf, ends_at_s - 1)
    own = np.minimum(np.searchsorted(leaves, leaf), max(len(leaves) - 1, 0)).astype(np.int64)
    base = own << _INSTANT_BITS
    begins = np.searchsorted(keys, base + ends_at_s) - np.searchsorted(keys, base + starts_at_s, "right")
    is_own = leaves[own] == leaf if len(leaves) else np.zeros(len(leaf), dtype=np.bool_)
    return first, (first != last) | ((begins > 0) & is_own)


def _place(members: Members, leaves: Int64s, keys: Int64s, leaf: Int64s, at_s: Int64s) -> NDArray[np.intp]:
    if not len(leaves):
        return np.full(len(leaf), -1, dtype=np.intp)
    own = np.minimum(np.searchsorted(leaves, leaf), len(leaves) - 1)
    place = np.searchsorted(keys, (own.astype(np.int64) << _INSTANT_BITS) + at_s, side="right") - 1
    known = np.maximum(place, 0)
    is_in = (place >= 0) & (members.leaf[known] == leaf) & (at_s < members.to_s[known])
    found: NDArray[np.intp] = np.where(is_in, place, -1)
    return found


def sum_parts(
    members: Members,
    place: NDArray[np.intp],
    period_index: Int64s,
    figures: Int64s,
    parts: Int64s,
    periods_count: int,
) -> Int64s:
    """Return sums of `figures` (figures, rows), by part and period, shape (figures, parts, periods).

    `place` as `place_rows` found it; rows that are nowhere count nowhere. `parts`: rising ids of `via`.
    """
    found = np.zeros((len(figures), len(parts) * periods_count), dtype=np.int64)
    is_in = place >= 0
    part = np.searchsorted(parts, members.via[place[is_in]])
    at = part * periods_count + period_index[is_in]
    for row, figure in zip(found, figures[:, is_in], strict=True):
        np.add.at(row, at, figure)
    return found.reshape(len(figures), len(parts), periods_count)


def count_due(
    members: Members,
    installed: Links,
    interval_s: Int64s,
    bounds_s: Int64s,
    parts: Int64s,
    now_s: int,
) -> Int64s:
    """Return how many intervals of each part are due, over by `now_s`, in each period, (parts, periods).

    `members`: of one node; `installed`: over which times its leaves are measured at all (`part` is the leaf,
    `whole` means nothing), `interval_s` (len(installed),): their grids, which begin with each period.
    """
    left, right = _pairs(members.leaf, installed.part)
    from_s = np.maximum(members.from_s[left], installed.from_s[right])
    step_s = interval_s[right]
    over_s = now_s - step_s + 1  # what begins before is over by now
    to_s = np.minimum(np.minimum(members.to_s[left], installed.to_s[right]), over_s)
    part = np.searchsorted(parts, members.via[left])
    found = np.zeros((len(parts), len(bounds_s) - 1), dtype=np.int64)
    for index, (first_s, end_s) in enumerate(zip(bounds_s[:-1].tolist(), bounds_s[1:].tolist(), strict=True)):
        low = np.clip(from_s, first_s, end_s) - first_s
        high = np.clip(to_s, first_s, end_s) - first_s
        count = -(-high // step_s) + (-low // step_s)
        np.add.at(found[:, index], part, np.maximum(count, 0))
    return found


def _pairs(left: Int64s, right: Int64s) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of every pair of equal values of two arrays."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    first = np.searchsorted(ordered, left, side="left")
    count = np.searchsorted(ordered, left, side="right") - first
    of_left = np.repeat(np.arange(len(left)), count)
    ends = np.cumsum(count)
    offset = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count, count)
    return of_left, order[np.repeat(first, count) + offset]
