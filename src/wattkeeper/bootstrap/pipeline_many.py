"""The pipeline's port for thousands of series in one question each: relational side and readings store."""

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.bootstrap.pipeline_rules import DataRules
from wattkeeper.bootstrap.pipeline_single import APART, DataRegistry, current_rows
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain import PlainFacts
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.data.alarms.queries import FindingDraft, close_windows, keep_findings
from wattkeeper.data.registry.plain_facts import PlainRows, get_plain_rows
from wattkeeper.pipeline.plain_facts import OPEN_S, to_plain
from wattkeeper.pipeline.ports import ManyReads, MeasurementRows, PlainSeries, SpanFindings
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.standing import nearest_standing, standing_reads

STEADY_S = 60 * 86_400  # facts that have stood so long before a window need no dates


class DataMany:
    """Facts, reads, values and findings of many series of one tenant."""

    def __init__(
        self,
        store: ReadingStore,
        tenant_id: int,
        registry: DataRegistry,
        rules: DataRules,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._registry = registry
        self._rules = rules
        self._now = now
        self._rows = get_plain_rows(np.zeros(0, dtype=np.int64), since=now())

    def get_plain(self, series_id: Int64s, at_s: Int64s) -> PlainSeries:
        """Return the plain series (rising): long-standing ones by a lean query, others by dated facts."""
        self._registry.forget()
        since_s = int(at_s.min()) - STEADY_S
        self._rows = get_plain_rows(series_id, since=from_seconds(since_s))
        is_other = ~np.isin(series_id, self._rows.series_id)
        others = dict(zip(series_id[is_other].tolist(), at_s[is_other].tolist(), strict=True))
        loaded = self._registry.load(list(others))
        dated = to_plain((facts, others[own]) for own, facts in loaded.items())
        own_at_s = at_s[np.searchsorted(series_id, self._rows.series_id)]
        return _join(self._rules.plain(_to_columns(self._rows, since_s), own_at_s), dated)

    def read_raw(self, channel_id: Int64s, from_s: int, to_s: int) -> ManyReads:
        """Return the reads of the channels in a span."""
        found = standing_reads(self._store, self._tenant_id, channel_id, from_s, to_s, has_origins=False)
        return ManyReads(
            found.channel_id,
            found.measured_at_s,
            found.value,
            found.flags.astype(np.int32),
            found.source.astype(np.int8),
        )

    def find_nearest(self, channel_id: Int64s, at_s: int, *, is_before: bool) -> tuple[Int64s, Int64s]:
        """Return channels and the instants of their nearest reads."""
        found = nearest_standing(self._store, self._tenant_id, channel_id, at_s, before=is_before)
        return found.channel_id, found.measured_at_s

    def read_measurements(self, series_id: Int64s, from_s: int, to_s: int) -> MeasurementRows:
        """Return the current values of a span."""
        return current_rows(self._store, self._tenant_id, series_id, from_s, to_s)

    def find_methods(
        self, series_id: Int64s, from_s: int, to_s: int, methods: Sequence[int]
    ) -> MeasurementRows:
        """Return the current values of a span that were made by some methods."""
        ids = self._store.series_with_methods(self._tenant_id, series_id, from_s, to_s, methods)
        if not len(ids):
            return MeasurementRows.concatenate([])
        rows = self.read_measurements(ids, from_s, to_s)
        return rows.where(np.isin(rows.method, methods))

    def record_findings(self, found: Sequence[SpanFindings], run_id: int) -> None:  # noqa: ARG002
        """Let the findings stand for their spans."""
        drafts = [self._draft(finding) for each in found for finding in each.findings]
        keep_findings(drafts, now=self._now())
        kept = {(draft.rule, draft.subject_key, draft.starts_at) for draft in drafts}
        for each in found:
            points = self._points_of(each.series_id)
            close_windows(
                tenant_id=self._tenant_id,
                usage_point_ids=(int(points.min()), int(points.max())),
                subject_keys={f"series:{series_id}" for series_id in each.series_id.tolist()},
                from_at=from_seconds(each.from_s),
                to_at=from_seconds(each.to_s),
                kept=kept,
                now=self._now(),
                apart=APART,
            )

    def _points_of(self, series_id: Int64s) -> Int64s:
        """Return the usage points of series, in any order."""
        rows = self._rows
        known = rows.usage_point_id[np.isin(rows.series_id, series_id)]
        others = series_id[~np.isin(series_id, rows.series_id)].tolist()
        dated = [self._registry.known[own].usage_point_id for own in others]
        return np.concatenate((known, np.array(dated, dtype=np.int64)))

    def _draft(self, finding: Finding) -> FindingDraft:
        series_id = finding.series_id or 0
        usage_point_id, meter_id = self._subject(series_id, finding.channel_id)
        return FindingDraft(
            self._tenant_id,
            finding.rule,
            f"series:{series_id}",
            from_seconds(finding.starts_at_s),
            from_seconds(finding.ends_at_s),
            usage_point_id=usage_point_id,
            meter_id=meter_id,
            evidence=finding.evidence,
        )

    def _subject(self, series_id: int, channel_id: int | None) -> tuple[int, int | None]:
        rows = self._rows
        place = int(np.searchsorted(rows.series_id, series_id))
        if place == len(rows) or rows.series_id[place] != series_id:
            facts = self._registry.known[series_id]
            return facts.usage_point_id, facts.meter_of_channel.get(channel_id or 0)
        is_of_register = channel_id == rows.channel_id[place]
        return int(rows.usage_point_id[place]), int(rows.meter_id[place]) if is_of_register else None


def _to_columns(rows: PlainRows, since_s: int) -> PlainSeries:
    return PlainSeries(
        rows.facts,
        np.full(len(rows), since_s, dtype=np.int64),
        np.full(len(rows), OPEN_S, dtype=np.int64),
        rows.interval_s,
        rows.zone_index,
        tuple(DayCalendar(ZoneInfo(zone)) for zone in rows.time_zones),
    )


def _join(one: PlainSeries, other: PlainSeries) -> PlainSeries:
    """Return the series of both; a calendar of both stays two, which only makes another group."""
    if not len(other):
        return one
    calendar_index = np.concatenate((one.calendar_index, other.calendar_index + len(one.calendars)))
    rule_sets = [(each.rule_sets or (None,) * len(each.calendars)) for each in (one, other)]
    facts = PlainFacts(
        *(
            np.concatenate((getattr(one.facts, name), getattr(other.facts, name)))
            for name in PlainFacts.__slots__
        )
    )
    return PlainSeries(
        facts,
        np.concatenate((one.holds_from_s, other.holds_from_s)),
        np.concatenate((one.holds_to_s, other.holds_to_s)),
        np.concatenate((one.interval_s, other.interval_s)),
        calendar_index,
        (*one.calendars, *other.calendars),
        (*rule_sets[0], *rule_sets[1]),
    )
