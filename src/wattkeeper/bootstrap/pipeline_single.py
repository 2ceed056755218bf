"""The pipeline's ports for series one by one: relational side and readings store."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.bootstrap.failed_series import RULE
from wattkeeper.bootstrap.pipeline_rules import DataRules
from wattkeeper.bootstrap.pipeline_virtual import mark_spans
from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span, from_seconds
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.vee.edits import Edit
from wattkeeper.core.vee.registry import PERIOD_CODES
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.data.alarms.queries import FindingDraft, close_window, keep_findings
from wattkeeper.data.collection import queries, windows
from wattkeeper.data.registry.facts import SeriesFacts as StoredFacts
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.vee.queries import edits_in_force
from wattkeeper.pipeline.ports import MeasurementRows, SeriesFacts
from wattkeeper.store.api import Ids, Measurements, RawReads, ReadingStore
from wattkeeper.store.run_mixes import values_mix
from wattkeeper.store.standing import nearest_standing, standing_reads

CODE_VERSION = "0.1.0"
APART = PERIOD_CODES | {RULE}  # what others close than the run that looks at a window


class DataRegistry:
    """Facts about series, with the rule sets and edits in force for them.

    `known`: all that were read since they were last forgotten, to tell whose findings are.
    """

    def __init__(self, rules: DataRules) -> None:
        self._rules = rules
        self.known: dict[int, StoredFacts] = {}
        self._loaded: dict[int, SeriesFacts] = {}

    def forget(self) -> None:
        """Begin with other series: what was known of the last ones is of no more use."""
        self.known, self._loaded = {}, {}

    def load(self, series_ids: Sequence[int]) -> Mapping[int, SeriesFacts]:
        """Read the facts of series that are about to be asked for, and return those that are sound.

        What facts contradict each other is left to `get_facts`, series by series.
        """
        self._loaded = {}
        if not series_ids:
            return self._loaded
        try:
            found = get_series_facts(series_ids)
        except WattkeeperError:
            return self._loaded
        self.known |= found
        self._loaded = self._to_facts(found)
        return self._loaded

    def get_facts(self, series_id: int) -> SeriesFacts:
        """Return the facts of a series, read now or by the last `load`."""
        if series_id in self._loaded:
            return self._loaded[series_id]
        facts = get_series_facts([series_id]).get(series_id)
        if facts is None:
            raise WattkeeperError("pipeline.no-series", series_id=series_id)
        self.known[series_id] = facts
        return self._to_facts({series_id: facts})[series_id]

    def _to_facts(self, found: Mapping[int, StoredFacts]) -> dict[int, SeriesFacts]:
        edits = edits_in_force(found)
        return {
            series_id: _facts(
                facts, self._rules.plan_of(series_id, facts.time_zone), edits.get(series_id, ())
            )
            for series_id, facts in found.items()
        }


def _facts(facts: StoredFacts, rules: RulePlan | None, edits: tuple[Edit, ...]) -> SeriesFacts:
    return SeriesFacts(
        series_id=facts.series_id,
        installations=facts.registers or facts.intervals,
        interval_s=facts.interval_s,
        zone=ZoneInfo(facts.time_zone),
        power_max_w=facts.power_max_w,
        kind=Kind.CUMULATIVE if facts.registers else Kind.INTERVAL,
        profiles=facts.intervals if facts.registers else (),
        rules=rules,
        edits=edits,
    )


class StoreRawReads:
    """Raw reads that stand, by channel."""

    def __init__(self, store: ReadingStore, tenant_id: int) -> None:
        self._store = store
        self._tenant_id = tenant_id

    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        """Return the reads of the channels that have any in the span."""
        return _by_channel(standing_reads(self._store, self._tenant_id, channel_ids, from_s, to_s))

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        """Return the instant of the newest read before `at_s`, or of the oldest at or after it."""
        found = nearest_standing(self._store, self._tenant_id, channel_ids, at_s, before=is_before)
        if not len(found.measured_at_s):
            return None
        return int(found.measured_at_s.max() if is_before else found.measured_at_s.min())


def _by_channel(reads: RawReads) -> dict[int, ReadColumns]:
    channels, starts = np.unique(reads.channel_id, return_index=True)
    found = {}
    for channel_id, start in zip(channels.tolist(), starts.tolist(), strict=True):
        part = slice(start, int(np.searchsorted(reads.channel_id, channel_id, side="right")))
        found[channel_id] = ReadColumns(
            reads.measured_at_s[part], reads.value[part], reads.flags[part], reads.source[part]
        )
    return found


def current_rows(
    store: ReadingStore, tenant_id: int, series_ids: Ids, from_s: int, to_s: int
) -> MeasurementRows:
    """Return the current values of a span."""
    found = store.measurements(tenant_id, series_ids, from_s, to_s)
    return MeasurementRows(
        found.series_id,
        found.starts_at_s,
        found.value_milliwh,
        found.provenance,
        found.flags,
        found.method,
    )


class StoreMeasurements:
    """Derived values by run."""

    def __init__(self, store: ReadingStore, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._now = now

    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        """Return the current values of the span."""
        return current_rows(self._store, self._tenant_id, [series_id], from_s, to_s)

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        """Append the values of a run."""
        columns = Measurements(
            rows.series_id,
            rows.starts_at_s,
            rows.value_milliwh,
            rows.provenance,
            rows.flags,
            rows.method,
            np.full(len(rows), run_id, np.int64),
        )
        self._store.insert_measurements(self._tenant_id, columns)
        queries.end_run(
            run_id=run_id,
            values_count=len(rows),
            values_mix=values_mix(self._tenant_id, columns),
            stored_at=self._now(),
        )


class DataWindows:
    """Dirty spans of one tenant."""

    def __init__(self, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._tenant_id = tenant_id
        self._now = now

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        """Lease about `limit` windows: the oldest shard's first."""
        return windows.claim(now=from_seconds(now_s), lease_s=lease_s, limit=limit, tenant_id=self._tenant_id)

    def complete(self, done: Sequence[ClaimedWindow]) -> int:
        """Remove the windows that are still held."""
        return windows.complete(done)

    def set_aside(self, failed: Sequence[ClaimedWindow]) -> None:
        """Let windows rest that could not be derived."""
        windows.set_aside(failed, now=self._now())

    def postpone(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark spans dirty that nobody claims before their beginning has passed."""
        mark_spans(self._tenant_id, spans, reason=windows.AHEAD, now=self._now())


class DataFindings:
    """What the rules noticed, kept as findings of the series' usage point."""

    def __init__(self, tenant_id: int, registry: DataRegistry, now: Callable[[], datetime]) -> None:
        self._tenant_id = tenant_id
        self._registry = registry
        self._now = now

    def record(
        self,
        *,
        series_id: int,
        from_s: int,
        to_s: int,
        findings: Sequence[Finding],
        run_id: int,  # noqa: ARG002
    ) -> None:
        """Let `findings` stand for the window: known ones stay, ones no longer found are closed."""
        facts = self._registry.known[series_id]
        drafts = [
            FindingDraft(
                self._tenant_id,
                finding.rule,
                f"series:{series_id}",
                from_seconds(finding.starts_at_s),
                from_seconds(finding.ends_at_s),
                usage_point_id=facts.usage_point_id,
                meter_id=facts.meter_of_channel.get(finding.channel_id or 0),
                evidence=finding.evidence,
            )
            for finding in findings
        ]
        keep_findings(drafts, now=self._now())
        close_window(
            tenant_id=self._tenant_id,
            subject_key=f"series:{series_id}",
            from_at=from_seconds(from_s),
            to_at=from_seconds(to_s),
            kept={(draft.rule, draft.starts_at) for draft in drafts},
            now=self._now(),
            apart=APART,
        )


class DataRuns:
    """Run ids from the relational side."""

    def __init__(self, tenant_id: int, rules: DataRules) -> None:
        self._tenant_id = tenant_id
        self._rules = rules

    def start(self, *, now_s: int, rule_set: str) -> int:
        """Return the id of a new run, which goes by the rules as they are now."""
        schedule = self._rules.begin()
        if not schedule.is_default:
            rule_set = f"schedule-{schedule.version_id}"
        return queries.begin_run(
            tenant_id=self._tenant_id, now=from_seconds(now_s), rule_set=rule_set, code_version=CODE_VERSION
        )
