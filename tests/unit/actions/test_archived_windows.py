"""Late reads of an archived month are told; nothing is derived from what is not there."""

from collections.abc import Mapping, Sequence

from relational import NOW, People
from wattkeeper.actions.operations.archive_months import LATE_RULE
from wattkeeper.bootstrap.pipeline_archived import MARGIN_S, OpenWindows
from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.data.alarms.models import Finding

HORIZON_S = 1_772_323_200  # 2026-03-01T00:00Z
OPEN_S = HORIZON_S + MARGIN_S


class Windows:
    """Three spans: archived, across the border, after it."""

    def __init__(self) -> None:
        spans = ((HORIZON_S - 900, HORIZON_S), (HORIZON_S - 900, OPEN_S + 900), (OPEN_S, OPEN_S + 900))
        self.claimed = [ClaimedWindow(1, id_, *span, 7) for id_, span in enumerate(spans, start=1)]
        self.done: list[ClaimedWindow] = []
        self.resting: list[ClaimedWindow] = []

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        return self.claimed

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        self.done += windows
        return len(windows)

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        self.resting = list(windows)

    def postpone(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        self.later = spans


def test_what_is_archived_is_told_and_the_rest_derived(ours: People) -> None:
    inner = Windows()
    windows = OpenWindows(inner, ours.tenant.id, lambda: HORIZON_S, lambda: NOW)
    claimed = windows.claim(now_s=0, lease_s=1, limit=9)
    assert [(w.series_id, w.from_s, w.to_s) for w in claimed] == [
        (2, OPEN_S, OPEN_S + 900),
        (3, OPEN_S, OPEN_S + 900),
    ]
    assert inner.done == inner.claimed[:1]
    assert windows.complete(claimed) == 2
    assert inner.done == inner.claimed, "with what was cut off"
    found = Finding.objects.filter(rule=LATE_RULE).order_by("subject_key")
    assert [finding.subject_key for finding in found] == ["series:1", "series:2"]


def test_what_could_not_be_derived_rests_whole(ours: People) -> None:
    inner = Windows()
    windows = OpenWindows(inner, ours.tenant.id, lambda: HORIZON_S, lambda: NOW)
    windows.set_aside(windows.claim(now_s=0, lease_s=1, limit=9))
    assert inner.resting == inner.claimed[1:]


def test_without_an_archive_nothing_changes(ours: People) -> None:
    inner = Windows()
    windows = OpenWindows(inner, ours.tenant.id, lambda: 0, lambda: NOW)
    assert windows.claim(now_s=0, lease_s=1, limit=9) == inner.claimed
    assert not Finding.objects.exists()
