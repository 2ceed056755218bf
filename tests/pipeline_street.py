"""Every port of the pipeline for a street of series, in memory; with or without the array path."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from datetime import date
from itertools import count
from typing import Any

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.pipeline.derive import PipelineReport, run_once
from wattkeeper.pipeline.plain_facts import to_plain
from wattkeeper.pipeline.ports import (
    CheckMeter,
    Hints,
    ManyReads,
    MeasurementRows,
    NodeMeters,
    PlainSeries,
    Ports,
    RollUps,
    SeriesFacts,
    SpanFindings,
)

Row = tuple[int, int, int, int]
Value = tuple[int, int, int, int]


class Street:
    """What the ports hold. `fail_at` names the call that raises once; `asked` counts calls by name."""

    def __init__(self, facts: Sequence[SeriesFacts], *, is_many: bool) -> None:
        self.facts = {each.series_id: each for each in facts}
        self.is_many = is_many
        self.raw: dict[int, set[Row]] = defaultdict(set)
        self.values: dict[int, dict[int, Value]] = defaultdict(dict)  # by series and start, the newest
        self.dirty: dict[int, tuple[int, int, int]] = {}
        self.later: set[tuple[int, int, int]] = set()  # series and span, dirty once it has begun
        self.recorded: dict[tuple[Any, ...], Finding] = {}
        self.asked: dict[str, int] = defaultdict(int)
        self.written: list[tuple[int, int, int]] = []  # run, series and start of every row appended
        self.ids, self.run_ids = count(1), count(1)
        self.calls, self.fail_at = 0, -1
        self.roll_ups: RollUps | None = None
        self.hints: Hints | None = None

    def deliver(self, series_id: int, channel_id: int, rows: Sequence[Row]) -> None:
        """Store reads (measured_at_s, value, flags, source) and mark their span dirty."""
        if rows:
            self.raw[channel_id].update(rows)
            at_s = [row[0] for row in rows]
            self.mark(series_id, min(at_s), max(at_s) + 1)

    def mark(self, series_id: int, from_s: int, to_s: int) -> None:
        """Mark a span dirty."""
        self.dirty[next(self.ids)] = (series_id, from_s, to_s)

    def run(self, now_s: int) -> PipelineReport:
        """Derive what is dirty."""
        return run_once(self.ports(), from_seconds(now_s), limit=10**9)

    def ports(self) -> Ports:
        """Return the ports of a pipeline."""
        single = _Single(self)
        return Ports(
            single,
            single,
            _Values(self),
            _Windows(self),
            single,
            self,
            _Many(self) if self.is_many else None,
            roll_ups=self.roll_ups,
            hints=self.hints,
        )

    def start(self, *, now_s: int, rule_set: str) -> int:
        """Return the next run id."""
        self.step("start")
        return next(self.run_ids)

    def current(self) -> dict[int, dict[int, Value]]:
        """Return the current value of every interval that holds one, by series."""
        return {
            series_id: {at_s: value for at_s, value in sorted(own.items()) if value[1] != Provenance.MISSING}
            for series_id, own in sorted(self.values.items())
        }

    def rows(self, series_id: int, from_s: int, to_s: int) -> list[tuple[int, ...]]:
        """Return the current rows of a series, MISSING ones too."""
        own = sorted(item for item in self.values[series_id].items() if from_s <= item[0] < to_s)
        return [(series_id, at_s, *value) for at_s, value in own]

    def nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        """Return the instant of the newest read before `at_s`, or of the oldest at or after it."""
        stamps = [row[0] for channel_id in channel_ids for row in self.raw[channel_id]]
        if is_before:
            return max((stamp for stamp in stamps if stamp < at_s), default=None)
        return min((stamp for stamp in stamps if stamp >= at_s), default=None)

    def step(self, name: str) -> None:
        """Count a call, and raise if this is the one that fails."""
        self.asked[name] += 1
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt

    def keep(self, series_id: int, from_s: int, to_s: int, findings: Sequence[Finding]) -> None:
        """Let findings stand for a window of a series."""
        for key in [
            k for k, old in self.recorded.items() if k[1] == series_id and from_s <= old.starts_at_s < to_s
        ]:
            del self.recorded[key]
        self.recorded |= {finding.key: finding for finding in findings}


class StreetHints:
    """Hints that know nothing but when supplies were off; what they mark is dirty."""

    def __init__(
        self, street: Street, off: Mapping[int, Sequence[tuple[int, int | None]]] | None = None
    ) -> None:
        self.street = street
        self.off = off or {}

    def begin(self) -> None:
        """Know the same as before."""

    def get_holidays(
        self, series_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, frozenset[date]]:
        """Return no holidays."""
        return {}

    def get_check_meters(self) -> Mapping[int, Sequence[CheckMeter]]:
        """Return no check meters."""
        return {}

    def get_nodes(self) -> Sequence[NodeMeters]:
        """Return no nodes."""
        return ()

    def get_off_spans(self) -> Mapping[int, Sequence[tuple[int, int | None]]]:
        """Return when supplies were off."""
        return self.off

    def find_claimed(self, series_ids: Sequence[int]) -> Set[int]:
        """Return none."""
        return set()

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Mark spans dirty."""
        for series_id, own in spans.items():
            for span in own:
                self.street.mark(series_id, *span)


class _Single:
    def __init__(self, street: Street) -> None:
        self.street = street

    def load(self, series_ids: Sequence[int]) -> None:
        self.street.step("load")

    def get_facts(self, series_id: int) -> SeriesFacts:
        self.street.step("get_facts")
        if series_id not in self.street.facts:
            raise WattkeeperError("registry.no-series")
        return self.street.facts[series_id]

    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        self.street.step("read")
        raw = self.street.raw
        return {
            channel_id: ReadColumns.of(sorted(row for row in raw[channel_id] if from_s <= row[0] < to_s))
            for channel_id in channel_ids
        }

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        self.street.step("find_nearest")
        return self.street.nearest(channel_ids, at_s, is_before=is_before)

    def record(
        self, *, series_id: int, from_s: int, to_s: int, findings: Sequence[Finding], run_id: int
    ) -> None:
        self.street.step("record")
        self.street.keep(series_id, from_s, to_s, findings)


class _Values:
    def __init__(self, street: Street) -> None:
        self.street = street

    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        self.street.step("read_values")
        return _columns(self.street.rows(series_id, from_s, to_s))

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        self.street.step("append")
        columns = (rows.value_milliwh, rows.provenance, rows.flags, rows.method)
        for series_id, at_s, *value in zip(
            rows.series_id.tolist(), rows.starts_at_s.tolist(), *(c.tolist() for c in columns), strict=True
        ):
            self.street.values[series_id][at_s] = tuple(value)
            self.street.written.append((run_id, series_id, at_s))
        self.street.step("appended")


class _Windows:
    def __init__(self, street: Street) -> None:
        self.street = street

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        self.street.step("claim")
        begun = {span for span in self.street.later if span[1] <= now_s}
        self.street.later -= begun
        for span in sorted(begun):
            self.street.mark(*span)
        rows = list(self.street.dirty.items())[:limit]
        return [ClaimedWindow(window_id, *span, fence_id=1) for window_id, span in rows]

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        self.street.step("complete")
        for window in windows:
            del self.street.dirty[window.window_id]
        return len(windows)

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        """Leave them dirty."""

    def postpone(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        self.street.step("postpone")
        self.street.later |= {(series_id, *span) for series_id, own in spans.items() for span in own}


class _Many:
    def __init__(self, street: Street) -> None:
        self.street = street

    def get_plain(self, series_id: Int64s, at_s: Int64s) -> PlainSeries:
        self.street.step("get_plain")
        pairs = zip(series_id.tolist(), at_s.tolist(), strict=True)
        return to_plain((self.street.facts[own], own_s) for own, own_s in pairs if own in self.street.facts)

    def read_raw(self, channel_id: Int64s, from_s: int, to_s: int) -> ManyReads:
        self.street.step("read_raw")
        rows = [
            (channel, *row)
            for channel in channel_id.tolist()
            for row in sorted(
                (row for row in self.street.raw[channel] if from_s <= row[0] < to_s),
                key=lambda row: (row[0], row[3], row[1], row[2]),
            )
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 5).T.copy()
        return ManyReads(table[0], table[1], table[2], table[3].astype(np.int32), table[4].astype(np.int8))

    def find_nearest(self, channel_id: Int64s, at_s: int, *, is_before: bool) -> tuple[Int64s, Int64s]:
        self.street.step("find_nearest")
        found = {c: self.street.nearest([c], at_s, is_before=is_before) for c in channel_id.tolist()}
        known = {c: own_s for c, own_s in found.items() if own_s is not None}
        return np.array(list(known), dtype=np.int64), np.array(list(known.values()), dtype=np.int64)

    def read_measurements(self, series_id: Int64s, from_s: int, to_s: int) -> MeasurementRows:
        self.street.step("read_values")
        return _columns([row for own in series_id.tolist() for row in self.street.rows(own, from_s, to_s)])

    def find_methods(
        self, series_id: Int64s, from_s: int, to_s: int, methods: Sequence[int]
    ) -> MeasurementRows:
        self.street.step("find_methods")
        rows = _columns([row for own in series_id.tolist() for row in self.street.rows(own, from_s, to_s)])
        return rows.where(np.isin(rows.method, methods))

    def record_findings(self, found: Sequence[SpanFindings], run_id: int) -> None:
        self.street.step("record")
        for each in found:
            for series_id in each.series_id.tolist():
                own = [finding for finding in each.findings if finding.series_id == series_id]
                self.street.keep(series_id, each.from_s, each.to_s, own)


def _columns(rows: Sequence[tuple[int, ...]]) -> MeasurementRows:
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    return MeasurementRows(*(np.ascontiguousarray(table[:, i]) for i in range(6)))
