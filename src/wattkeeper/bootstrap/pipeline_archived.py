"""Dirty spans of months that are only in the archive: told, not derived from reads that are not there."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from wattkeeper.actions.operations.archive_months import LATE_RULE
from wattkeeper.core.kernel.claims import ClaimedWindow, ClaimedWindows
from wattkeeper.core.kernel.instants import Span, from_seconds
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
from wattkeeper.pipeline.ports import DirtyWindows

MARGIN_S = 36 * 3600  # a local day that begins before the end of an archived month stays as it is


class OpenWindows:
    """Another port's windows without what lies before the end of the archive."""

    def __init__(
        self,
        windows: DirtyWindows,
        tenant_id: int,
        archived_to_s: Callable[[], int],
        now: Callable[[], datetime],
    ) -> None:
        self._windows = windows
        self._tenant_id = tenant_id
        self._archived_to_s = archived_to_s
        self._now = now
        self._whole: dict[tuple[int, int, int], ClaimedWindow] = {}  # what was claimed, by what is left of it

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        """Lease at most `limit` windows; what is archived of them is told as a finding."""
        claimed = self._windows.claim(now_s=now_s, lease_s=lease_s, limit=limit)
        archived_to_s = self._archived_to_s()
        if not archived_to_s:
            return claimed
        open_from_s = archived_to_s + MARGIN_S
        claimed = ClaimedWindows.of(claimed)
        late = claimed.where(claimed.from_s < open_from_s)
        keep_findings([self._draft(window, open_from_s) for window in late], now=self._now())
        self._windows.complete([window for window in late if window.to_s <= open_from_s])
        return [
            self._cut(window, open_from_s) if window.from_s < open_from_s else window
            for window in claimed
            if window.to_s > open_from_s
        ]

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        """Remove the windows that are still held, with what was cut off them."""
        return self._windows.complete(self._uncut(windows))

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        """Let windows rest that could not be derived, with what was cut off them."""
        self._windows.set_aside(self._uncut(windows))

    def postpone(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark spans dirty that nobody claims before their beginning has passed."""
        self._windows.postpone(spans)

    def _uncut(self, windows: Sequence[ClaimedWindow]) -> Sequence[ClaimedWindow]:
        if not self._whole:
            return windows
        return [self._whole.pop(_key(window), window) for window in windows]

    def _cut(self, window: ClaimedWindow, open_from_s: int) -> ClaimedWindow:
        left = window._replace(from_s=open_from_s)
        self._whole[_key(left)] = window
        return left

    def _draft(self, window: ClaimedWindow, open_from_s: int) -> FindingDraft:
        return FindingDraft(
            self._tenant_id,
            LATE_RULE,
            f"series:{window.series_id}",
            from_seconds(window.from_s),
            from_seconds(min(window.to_s, open_from_s)),
        )


def _key(window: ClaimedWindow) -> tuple[int, int, int]:
    return window.window_id, window.series_id, window.to_s
