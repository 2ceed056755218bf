"""What changed on days that touch is looked beside as one: thousands of windows of a series too, and soon."""

import time
from collections.abc import Callable, Iterable
from random import Random

from unit.pipeline.test_beside_the_grid import DAY_S, START_S, facts
from wattkeeper.core.kernel.instants import Span, merge_spans
from wattkeeper.pipeline.window import Grid, align, join_changed

NOW_S = START_S + 60 * DAY_S


def sought(changed: Iterable[Span], grid: Grid, now_s: int) -> list[Span]:
    """What `join_changed` returns by its definition: each window is sought anew for each span of days."""
    pairs = [(days, own) for own in changed if (days := align(own, grid, now_s)) is not None]
    found: list[Span] = []
    for first_s, end_s in merge_spans(days for days, _ in pairs):
        own = [span for days, span in pairs if first_s <= days[0] < end_s]
        found.append((min(from_s for from_s, _ in own), max(to_s for _, to_s in own)))
    return found


def test_it_is_what_its_definition_says() -> None:
    for seed in range(200):
        chance = Random(seed)
        firsts = [START_S + chance.randrange(80 * DAY_S) for _ in range(chance.randrange(12))]
        changed = [(from_s, from_s + chance.choice((1, 900, 3 * DAY_S))) for from_s in firsts]
        assert join_changed(changed, facts(), NOW_S) == sought(changed, facts(), NOW_S), seed


def is_soon(join: Callable[[Iterable[Span], Grid, int], list[Span]]) -> bool:
    """Whether eight times as many windows take less than sixteen times as long, at the best of three."""

    def least_s(count: int) -> float:
        changed = [(START_S + 2 * at * DAY_S + 7200, START_S + 2 * at * DAY_S + 9000) for at in range(count)]
        spent_s = []
        for _ in range(3):
            began_s = time.thread_time()
            assert len(join(changed, facts(), START_S + 2 * count * DAY_S)) == count
            spent_s.append(time.thread_time() - began_s)
        return min(spent_s)

    return least_s(4000) < 16 * least_s(500)


def test_thousands_of_windows_of_a_series_are_soon_joined() -> None:
    assert is_soon(join_changed)


def test_to_seek_each_anew_is_caught() -> None:
    assert not is_soon(sought)
