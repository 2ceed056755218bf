"""Derive again without writing: what a run would append is what the stored values are wrong by."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date

from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span, from_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.registry.virtual_series import VirtualSet
from wattkeeper.pipeline.derive import Failure, run_once
from wattkeeper.pipeline.ports import (
    CheckMeter,
    Hints,
    ManyReads,
    ManySeries,
    MeasurementRows,
    Measurements,
    NodeMeters,
    PlainSeries,
    Ports,
    SpanFindings,
    VirtualMeters,
)

_NO_RUN = 0


@dataclass(frozen=True, slots=True, eq=False)
class Rederived:
    """`rows`: values as they should be, where the stored ones are not so; `interval_count`: all looked at."""

    rows: MeasurementRows
    interval_count: int
    failures: tuple[Failure, ...]


def rederive(
    ports: Ports,
    series_ids: Sequence[int],
    from_s: int,
    to_s: int,
    now_s: int,
    on_done: Callable[[int], None] = lambda _count: None,
) -> Rederived:
    """
    Derive ``[from_s, to_s)`` of the series as of `now_s` and compare with what is stored.

    `on_done` is told how many series more are done.
    """
    windows = [ClaimedWindow(index, id_, from_s, to_s, 0) for index, id_ in enumerate(series_ids)]
    kept = _Kept(ports.measurements)
    dry = replace(
        ports,
        measurements=kept,
        windows=_Windows(windows, on_done),
        findings=_Nobody(),
        runs=_Nobody(),
        many=None if ports.many is None else _DryMany(ports.many),
        roll_ups=None,
        rates=None,
        bills=None,
        hints=None if ports.hints is None else _DryHints(ports.hints),
        virtual=None if ports.virtual is None else _DryVirtual(ports.virtual),
    )
    report = run_once(dry, from_seconds(now_s), limit=len(windows))
    failures = tuple(failure for failure in report.failures if failure.series_id is not None)
    return Rederived(MeasurementRows.concatenate(kept.parts), report.interval_count, failures)


class _Kept:
    """Stored values to compare with; what would be appended is kept aside."""

    def __init__(self, stored: Measurements) -> None:
        self._stored = stored
        self.parts: list[MeasurementRows] = []

    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        return self._stored.read(series_id, from_s, to_s)

    def append(self, run_id: int, rows: MeasurementRows) -> None:  # noqa: ARG002
        self.parts.append(rows)


class _Windows:
    def __init__(self, windows: Sequence[ClaimedWindow], on_done: Callable[[int], None]) -> None:
        self._windows = windows
        self._on_done = on_done

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:  # noqa: ARG002
        return self._windows

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        self._on_done(len(windows))
        return len(windows)

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        """Change nothing: nobody dirtied them."""

    def postpone(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark nothing."""


class _Nobody:
    """Takes findings, and starts runs that are none."""

    def record(
        self, *, series_id: int, from_s: int, to_s: int, findings: Sequence[Finding], run_id: int
    ) -> None:
        """Keep nothing."""

    def start(self, *, now_s: int, rule_set: str) -> int:  # noqa: ARG002
        return _NO_RUN


class _DryVirtual:
    """The virtual series, without marking any."""

    def __init__(self, virtual: VirtualMeters) -> None:
        self._virtual = virtual

    def load(self) -> VirtualSet:
        return self._virtual.load()

    def mark(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark nothing."""


class _DryHints:
    """What is known elsewhere, without marking any."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints

    def begin(self) -> None:
        self._hints.begin()

    def get_holidays(
        self, series_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, frozenset[date]]:
        return self._hints.get_holidays(series_ids, from_s, to_s)

    def get_check_meters(self) -> Mapping[int, Sequence[CheckMeter]]:
        return self._hints.get_check_meters()

    def get_nodes(self) -> Sequence[NodeMeters]:
        return self._hints.get_nodes()

    def get_off_spans(self) -> Mapping[int, Sequence[tuple[int, int | None]]]:
        return self._hints.get_off_spans()

    def find_claimed(self, series_ids: Sequence[int]) -> Set[int]:
        return self._hints.find_claimed(series_ids)

    def mark(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark nothing."""


class _DryMany:
    """The questions of the array path, without its findings."""

    def __init__(self, many: ManySeries) -> None:
        self._many = many

    def get_plain(self, series_id: Int64s, at_s: Int64s) -> PlainSeries:
        return self._many.get_plain(series_id, at_s)

    def read_raw(self, channel_id: Int64s, from_s: int, to_s: int) -> ManyReads:
        return self._many.read_raw(channel_id, from_s, to_s)

    def find_nearest(self, channel_id: Int64s, at_s: int, *, is_before: bool) -> tuple[Int64s, Int64s]:
        return self._many.find_nearest(channel_id, at_s, is_before=is_before)

    def read_measurements(self, series_id: Int64s, from_s: int, to_s: int) -> MeasurementRows:
        return self._many.read_measurements(series_id, from_s, to_s)

    def find_methods(
        self, series_id: Int64s, from_s: int, to_s: int, methods: Sequence[int]
    ) -> MeasurementRows:
        return self._many.find_methods(series_id, from_s, to_s, methods)

    def record_findings(self, found: Sequence[SpanFindings], run_id: int) -> None:
        """Keep nothing."""
