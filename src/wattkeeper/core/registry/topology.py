"""Which usage point feeds which, over time: transformer, feeder, main meter, sub-meter."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from wattkeeper.core.kernel.errors import WattkeeperError


class InvalidTopology(WattkeeperError):
    """Raised when a point would have two parents at once, or feed itself."""


@dataclass(frozen=True, slots=True)
class TopologyLink:
    """Over ``[starts_at_s, ends_at_s)`` `parent_id` feeds `child_id`."""

    parent_id: int
    child_id: int
    starts_at_s: int
    ends_at_s: int | None

    def is_valid_at(self, at_s: int) -> bool:
        """Whether the link holds at the instant `at_s`."""
        return self.starts_at_s <= at_s and (self.ends_at_s is None or at_s < self.ends_at_s)


def get_descendants(links: Iterable[TopologyLink], *, parent_id: int, at_s: int) -> frozenset[int]:
    """Return every point below `parent_id` at the instant `at_s`."""
    children: dict[int, list[int]] = defaultdict(list)
    for link in links:
        if link.is_valid_at(at_s):
            children[link.parent_id].append(link.child_id)
    found: set[int] = set()
    waiting = [parent_id]
    while waiting:
        for child_id in children[waiting.pop()]:
            if child_id not in found:
                found.add(child_id)
                waiting.append(child_id)
    return frozenset(found)


def check_topology(links: Iterable[TopologyLink]) -> None:
    """Check that each point has one parent at a time and that none feeds itself.

    :raises InvalidTopology: ``topology.two-parents`` or ``topology.cycle``
    """
    by_child: dict[int, list[TopologyLink]] = defaultdict(list)
    for link in links:
        by_child[link.child_id].append(link)
    for child_id, own in by_child.items():
        own.sort(key=lambda link: link.starts_at_s)
        for earlier, later in pairwise(own):
            if earlier.ends_at_s is None or earlier.ends_at_s > later.starts_at_s:
                raise InvalidTopology("topology.two-parents", child_id=child_id)
    everything = [link for own in by_child.values() for link in own]
    for link in everything:  # a cycle closes at the start of one of its links
        if link.child_id in get_descendants(everything, parent_id=link.child_id, at_s=link.starts_at_s):
            raise InvalidTopology("topology.cycle", child_id=link.child_id, starts_at_s=link.starts_at_s)
