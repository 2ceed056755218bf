"""What the pipeline asks of the world; `bootstrap` wires these for one tenant. Instants in UTC seconds."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.determinants import RateCalendar, RateDayRows
from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import NO_INTERVAL, Provenance
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.plain import PlainFacts
from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.core.registry.virtual_series import VirtualSet
from wattkeeper.core.vee.edits import Edit
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan

Integers = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What the registry knows of a series: channels over time, grid, place and limit.

    `kind` says what its reads hold: CUMULATIVE registers, or the energy of an INTERVAL named by its start.
    `profiles` are channels of interval energy beside registers: they give the shape, registers the energy.
    `rules` None: the rule set of the run. `edits`: those in force.
    """

    series_id: int
    installations: tuple[ChannelInstallation, ...]
    interval_s: int
    zone: ZoneInfo
    power_max_w: int
    holidays: frozenset[date] = frozenset()
    kind: Kind = Kind.CUMULATIVE
    profiles: tuple[ChannelInstallation, ...] = ()
    rules: RulePlan | None = None
    edits: tuple[Edit, ...] = ()

    @property
    def channel_ids(self) -> list[int]:
        """Every channel that ever measured the series."""
        return [installation.channel_id for installation in (*self.installations, *self.profiles)]


@dataclass(frozen=True, slots=True, eq=False)
class MeasurementRows:
    """Values of series, named by the start of their interval; shape (n,), the last three may be narrow."""

    series_id: Int64s
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: Integers
    flags: Integers
    method: Integers

    def __len__(self) -> int:
        return len(self.series_id)

    def where(self, chosen: NDArray[np.bool_]) -> "MeasurementRows":
        """Return the rows of a mask."""
        return MeasurementRows(*(getattr(self, name)[chosen] for name in self.__slots__))

    def writing_off(self, gone: "MeasurementRows") -> "MeasurementRows":
        """Return the rows, and for each one that is gone one that says so: no interval begins there now."""
        if not len(gone):
            return self
        nothing = np.zeros(len(gone), dtype=np.int64)
        quality = nothing + int(Provenance.MISSING), nothing + NO_INTERVAL, nothing
        gone = MeasurementRows(gone.series_id, gone.starts_at_s, nothing, *quality)
        return MeasurementRows.concatenate([self, gone])

    @classmethod
    def concatenate(cls, parts: "Sequence[MeasurementRows]") -> "MeasurementRows":
        """Return the rows of all `parts`, in their order."""
        names = cls.__slots__
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls(*(np.zeros(0, dtype=np.int64) for _ in names))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Registry(Protocol):
    """Facts about series, read inside the lease."""

    def load(self, series_ids: Sequence[int]) -> object:
        """Read the facts of series that are about to be asked for."""
        ...

    def get_facts(self, series_id: int) -> SeriesFacts:
        """Return the facts of a series.

        :raises WattkeeperError: if there is no such series or its facts contradict each other
        """
        ...


class RawReads(Protocol):
    """Raw reads by channel."""

    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        """Return the reads with ``from_s <= measured_at_s < to_s`` of the channels that have any."""
        ...

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        """Return the instant of the newest read before `at_s`, or of the oldest at or after it."""
        ...


class Measurements(Protocol):
    """Derived values, versioned by run."""

    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        """Return the current values with ``from_s <= starts_at_s < to_s``, in order of time."""
        ...

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        """Append the values of a run; durable when this returns, and safe to repeat."""
        ...


class DirtyWindows(Protocol):
    """Spans to derive again."""

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        """Lease at most `limit` windows. All windows of a series are leased by one claimant at a time.

        Thousands come as `ClaimedWindows`.
        """
        ...

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        """Remove the windows that are still held with their `fence_id` and return how many those were."""
        ...

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        """Let windows that could not be derived rest for a while and hold up no others."""
        ...

    def postpone(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark spans of series dirty which nobody claims before their beginning has passed."""
        ...


class Findings(Protocol):
    """What the rules noticed."""

    def record(
        self, *, series_id: int, from_s: int, to_s: int, findings: Sequence[Finding], run_id: int
    ) -> None:
        """Let `findings` stand for the window: known keys stay, ones no longer found are closed."""
        ...


class Runs(Protocol):
    """The versions of derived values."""

    def start(self, *, now_s: int, rule_set: str) -> int:
        """Return the id of a new run, higher than every earlier one."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PlainSeries:
    """Series that one register measured with one multiplier around a window: what matrices are made of.

    One element a series, int64 of shape (series,). The facts hold in ``[holds_from_s, holds_to_s)``;
    `calendar_index` points into `calendars`, and into `rule_sets` where there are any: the one in force, None
    for that of the run.
    """

    facts: PlainFacts
    holds_from_s: Int64s
    holds_to_s: Int64s
    interval_s: Int64s
    calendar_index: Int64s
    calendars: tuple[DayCalendar, ...]
    rule_sets: tuple[RuleSet | None, ...] = ()

    def __len__(self) -> int:
        return len(self.holds_from_s)

    def rules_of(self, calendar_index: int) -> RuleSet | None:
        """Return the rule set beside a calendar."""
        return self.rule_sets[calendar_index] if self.rule_sets else None

    def take(self, rows: "NDArray[np.intp] | NDArray[np.bool_]") -> "PlainSeries":
        """Return the series at the places `rows`, or of a mask."""
        return PlainSeries(
            self.facts.take(rows),
            self.holds_from_s[rows],
            self.holds_to_s[rows],
            self.interval_s[rows],
            self.calendar_index[rows],
            self.calendars,
            self.rule_sets,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ManyReads:
    """Reads of many channels, shape (reads,), in order of channel, instant, source, value, flags."""

    channel_id: Int64s
    measured_at_s: Int64s
    value: Int64s
    flags: NDArray[np.int32]
    source: NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class SpanFindings:
    """What was found in ``[from_s, to_s)`` of each of `series_id`; findings name their series."""

    series_id: Int64s
    from_s: int
    to_s: int
    findings: Sequence[Finding]


class ManySeries(Protocol):
    """The same facts and values for thousands of series in one question each."""

    def get_plain(self, series_id: Int64s, at_s: Int64s) -> PlainSeries:
        """Return the plain ones among the series, by the facts in force at `at_s` (series,), in any order."""
        ...

    def read_raw(self, channel_id: Int64s, from_s: int, to_s: int) -> ManyReads:
        """Return the reads of the channels (rising) with ``from_s <= measured_at_s < to_s``."""
        ...

    def find_nearest(self, channel_id: Int64s, at_s: int, *, is_before: bool) -> tuple[Int64s, Int64s]:
        """Return channels and instants: the newest read before `at_s`, or the oldest at or after it."""
        ...

    def read_measurements(self, series_id: Int64s, from_s: int, to_s: int) -> MeasurementRows:
        """Return the current values with ``from_s <= starts_at_s < to_s``, by series and time."""
        ...

    def find_methods(
        self, series_id: Int64s, from_s: int, to_s: int, methods: Sequence[int]
    ) -> MeasurementRows:
        """Return the current values of a span that were made by some methods, by series and time."""
        ...

    def record_findings(self, found: Sequence[SpanFindings], run_id: int) -> None:
        """Let the findings stand for their spans, as `Findings.record` does."""
        ...


class RollUps(Protocol):
    """Stored days and months of series, versioned by run."""

    def read(self, series_id: Int64s, days: Sequence[Span], months_s: Sequence[int]) -> RollUpRows:
        """Return the current days that start in half-open spans, and the months that start at `months_s`."""
        ...

    def sum_days(self, series_id: Int64s, bounds_s: Sequence[int], without: Sequence[Span]) -> RollUpRows:
        """Return, per series, sums of current days between consecutive bounds, those of spans left out.

        Such a row starts at its bound; where there is no day there may be no row. Its run is the newest.
        """
        ...

    def append(self, run_id: int, rows: RollUpRows) -> None:
        """Append the roll-ups of a run; durable when this returns, and safe to repeat."""
        ...


@dataclass(frozen=True, slots=True)
class DatedCalendar:
    """A calendar and the days, by their first instants in ``[from_s, to_s)``, that it holds for series."""

    calendar: RateCalendar
    from_s: int
    to_s: int
    series_id: Int64s


class Rates(Protocol):
    """The calendars that series are billed by, and the determinants of their days, versioned by run."""

    def get_calendars(self, series_id: Int64s, from_s: int, to_s: int) -> Sequence[DatedCalendar]:
        """Return the calendars in force anywhere in ``[from_s, to_s)``, the series of each rising."""
        ...

    def append(self, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of a run; durable when this returns, and safe to repeat."""
        ...


class VirtualMeters(Protocol):
    """Series that are formulas of other series."""

    def load(self) -> VirtualSet:
        """Return all of them as they are now."""
        ...

    def mark(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark half-open spans of virtual series dirty, durably."""
        ...


class Bills(Protocol):
    """What was billed by values that may change."""

    def mark(self, rows: MeasurementRows) -> None:
        """Note durably that the values of rows change: called before they are appended, and after."""
        ...


@dataclass(frozen=True, slots=True)
class CheckMeter:
    """A series that measures the same energy as another does; its grid and the other's."""

    series_id: int
    interval_s: int
    checked_interval_s: int


FedSpan = tuple[int, int, int | None]


@dataclass(frozen=True, slots=True)
class NodeMeters:
    """A meter and those that it feeds, said to hold the same energy but for the loss between them.

    `parts`: series and the half-open span in which each is fed, None while it is; `backs`: the same of what
    those give back, as long as it is measured, `feeder_backs` of what the meter does. `interval_s_of`: grids.
    """

    feeder_id: int
    parts: tuple[FedSpan, ...]
    interval_s_of: Mapping[int, int]
    loss_ppm: int = 0
    backs: tuple[FedSpan, ...] = ()
    feeder_backs: tuple[FedSpan, ...] = ()


class Hints(Protocol):
    """What is known of gaps from elsewhere than the series itself."""

    def begin(self) -> None:
        """Go by what is known now: called once at the start of a run."""
        ...

    def get_holidays(
        self, series_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, frozenset[date]]:
        """Return the holidays in and around a span of the series that have any."""
        ...

    def get_check_meters(self) -> Mapping[int, Sequence[CheckMeter]]:
        """Return the check meters of every series that has any, the one to ask first in front."""
        ...

    def get_nodes(self) -> Sequence[NodeMeters]:
        """Return the nodes that are balanced, the one to ask first in front."""
        ...

    def get_off_spans(self) -> Mapping[int, Sequence[tuple[int, int | None]]]:
        """Return when supplies were surely off, half-open, None while they are, by series."""
        ...

    def find_claimed(self, series_ids: Sequence[int]) -> Set[int]:
        """Return those of which another run holds a window now."""
        ...

    def mark(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark half-open spans of series dirty, durably: what their gaps are estimated from has changed."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the pipeline needs, for one tenant; without `many` each series is derived by itself."""

    registry: Registry
    raw_reads: RawReads
    measurements: Measurements
    windows: DirtyWindows
    findings: Findings
    runs: Runs
    many: ManySeries | None = None
    roll_ups: RollUps | None = None
    rates: Rates | None = None
    virtual: VirtualMeters | None = None
    bills: Bills | None = None
    hints: Hints | None = None
