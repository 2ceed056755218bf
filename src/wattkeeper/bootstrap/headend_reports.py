"""What the head-end learned, kept on the relational side: states, findings, events."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from wattkeeper.bootstrap.meter_rules import MeterRules
from wattkeeper.bootstrap.spool_findings import SpoolFindings
from wattkeeper.data.alarms.queries import (
    FindingDraft,
    close_gone,
    keep_events,
    keep_findings,
    list_open_meters,
)
from wattkeeper.data.collection import status
from wattkeeper.data.collection.jobs import report_fetch
from wattkeeper.data.collection.models import MAIN, Link
from wattkeeper.data.registry.models import Meter
from wattkeeper.data.registry.told import keep_told_multiplier
from wattkeeper.headend.ports import DeviceReport, SpoolReport, Stranger

SILENT_AFTER_COUNT = 3
SILENT_RULE = "collection.silent"
STRANGER_RULE = "collection.stranger"
CLOCK_RULE = "collection.clock"
INTERVAL_RULE = "collection.interval"
IDENTITY_RULE = "vee.identity"
IDENTITY_CODES = frozenset(("drivers.wrong-device",))
EARLY_RULE = "vee.impossible-instant"
EARLY_CODES = frozenset(("headend.stamp-too-early",))
UNIT_RULE = "vee.unit"
UNIT_CODES = frozenset(("drivers.unit-mismatch",))
COUNTER_RULE = "collection.counter"
REPLAY_RULE = "collection.replay"
REPLAY_CODES = frozenset(("headend.push-replayed",))
STAMP_RULE = "collection.stamp"
STAMP_CODES = frozenset(("headend.stamp-impossible", "headend.stamp-ahead"))
COUNTER_CODES = frozenset(("drivers.counter-jump", "dlms.counter-refused"))
FAULTS = (
    (COUNTER_RULE, COUNTER_CODES),
    (STAMP_RULE, STAMP_CODES),
    (REPLAY_RULE, REPLAY_CODES),
    (IDENTITY_RULE, IDENTITY_CODES),
    (UNIT_RULE, UNIT_CODES),
    (EARLY_RULE, EARLY_CODES),
)


class DataReports:
    """Keeps what sessions learned; turns lasting silence, wrong clocks and lost links into findings."""

    def __init__(self, now: Callable[[], datetime], headend: str = MAIN) -> None:
        self._now = now
        self._silent_ids: set[int] = set()
        self._wrong_clock_ids: set[int] = set()
        self._other_interval_ids: set[int] = set()
        self._faults: set[tuple[int, str]] = set()
        self._is_recalled = False
        self._fetch_id: int | None = None
        self._tenant_of: dict[int, int] = {}
        self._spool = SpoolFindings(headend)
        self._rules = MeterRules()

    def report_devices(self, reports: Sequence[DeviceReport]) -> None:
        """Keep what was learned of devices."""
        if not reports:
            return
        self._recall()
        status.keep_learned(
            [
                status.LearnedOfMeter(
                    meter_id=report.device_id,
                    at=report.at,
                    is_answering=report.is_answering,
                    error_code=report.error_code,
                    clock_offset_s=report.clock_offset_s,
                    relay_state_code=None if report.relay_state is None else int(report.relay_state),
                    failures_count=report.failures_count,
                )
                for report in reports
            ]
        )
        for report in reports:
            self._judge_silence(report)
            self._judge_clock(report)
            self._judge_interval(report)
            self._judge_faults(report)
            if report.multiplier is not None:
                keep_told_multiplier(meter_id=report.device_id, at=report.at, ratio=report.multiplier)

    def _recall(self) -> None:
        """Take up what an earlier process found, so that it is closed when it is gone."""
        if self._is_recalled:
            return
        self._is_recalled = True
        found = list_open_meters({SILENT_RULE, CLOCK_RULE, INTERVAL_RULE, *(rule for rule, _ in FAULTS)})
        self._silent_ids = {meter_id for rule, meter_id in found if rule == SILENT_RULE}
        self._wrong_clock_ids = {meter_id for rule, meter_id in found if rule == CLOCK_RULE}
        self._other_interval_ids = {meter_id for rule, meter_id in found if rule == INTERVAL_RULE}
        self._faults = {(meter_id, rule) for rule, meter_id in found if rule in dict(FAULTS)}

    def _judge_silence(self, report: DeviceReport) -> None:
        is_silent = not report.is_answering and report.failures_count >= SILENT_AFTER_COUNT
        if is_silent and report.device_id not in self._silent_ids:
            self._silent_ids.add(report.device_id)
            self._open(SILENT_RULE, report, _told(report))
            self._tell("meter.silent", report)
        elif report.is_answering and report.device_id in self._silent_ids:
            self._silent_ids.discard(report.device_id)
            self._close(SILENT_RULE, report)
            self._tell("meter.answering", report)

    def _judge_clock(self, report: DeviceReport) -> None:
        if report.clock_offset_s is None:
            return
        tenant_id = self._tenant(report.device_id)
        tolerance_s = self._rules.clock_tolerance_s(tenant_id, report.device_id, report.at)
        is_wrong = tolerance_s is not None and abs(report.clock_offset_s) > tolerance_s
        if is_wrong and report.device_id not in self._wrong_clock_ids:
            self._wrong_clock_ids.add(report.device_id)
            evidence = {"clock_offset_s": report.clock_offset_s, "tolerance_s": tolerance_s or 0}
            self._open(CLOCK_RULE, report, evidence)
        elif not is_wrong and report.device_id in self._wrong_clock_ids:
            self._wrong_clock_ids.discard(report.device_id)
            self._close(CLOCK_RULE, report)

    def _judge_interval(self, report: DeviceReport) -> None:
        """A load profile with other intervals than planned leaves gaps, or holds what nobody asks for."""
        if report.intervals_s is None:
            return
        planned_s, told_s = report.intervals_s
        if told_s != planned_s and report.device_id not in self._other_interval_ids:
            self._other_interval_ids.add(report.device_id)
            self._open(INTERVAL_RULE, report, {"interval_s": planned_s, "told_interval_s": told_s})
        elif told_s == planned_s and report.device_id in self._other_interval_ids:
            self._other_interval_ids.discard(report.device_id)
            self._close(INTERVAL_RULE, report)

    def _judge_faults(self, report: DeviceReport) -> None:
        """Faults that are told at once: counters, stamps, units that cannot be, frames said too often."""
        for rule, codes in FAULTS:
            key = (report.device_id, rule)
            if report.error_code in codes and key not in self._faults:
                if self._rules.is_off(rule, self._tenant(report.device_id), report.device_id, report.at):
                    continue
                self._faults.add(key)
                self._open(rule, report, _told(report))
            elif report.is_answering and report.error_code not in codes and key in self._faults:
                self._faults.discard(key)
                self._close(rule, report)

    def report_link(self, link_id: int, at: datetime, *, is_up: bool, error_code: str | None) -> None:
        """Keep a link's state; a link that is down is a finding until it is up again."""
        tenant_id = status.keep_link_state(link_id=link_id, at=at, is_up=is_up, error_code=error_code)
        if tenant_id is None:
            return
        subject_key = f"link:{link_id}"
        if is_up:
            close_gone(tenant_id=tenant_id, rule="collection.link-down", subject_key=subject_key, now=at)
            return
        evidence = {"error_code": error_code or ""}
        keep_findings(
            [FindingDraft(tenant_id, "collection.link-down", subject_key, at, evidence=evidence)], now=at
        )

    def report_stranger(self, stranger: Stranger, untold_count: int) -> None:
        """Keep that somebody unknown connected: one finding a day for each address, port and tenant."""
        evidence = {
            "peer": stranger.peer,
            "port": stranger.port,
            "error_code": stranger.error_code,
            "said": stranger.said.hex(),
            "serial_number": stranger.serial_number,
            "link_id": stranger.link_id or 0,
            "untold_count": untold_count,
        }
        day_at = stranger.at.replace(hour=0, minute=0, second=0, microsecond=0)
        subject_key = _stranger_key(stranger.port, stranger.peer)
        drafts = [
            FindingDraft(tenant_id, STRANGER_RULE, subject_key, day_at, evidence=evidence)
            for tenant_id in stranger.tenant_ids
        ]
        keep_findings(drafts, now=stranger.at)

    def report_known(self, link_id: int, peer: str, port: int, at: datetime) -> None:
        """Close what was found of the address while it was unknown."""
        tenant_id = Link.objects.values_list("tenant_id", flat=True).get(id=link_id)
        close_gone(tenant_id=tenant_id, rule=STRANGER_RULE, subject_key=_stranger_key(port, peer), now=at)

    def report_spool(self, report: SpoolReport, at: datetime) -> None:
        """Keep how the spool does."""
        self._spool.keep(report, at)

    def report_progress(self, *, done_count: int, total_count: int, label: str) -> None:
        """Keep how far the fetch of memories has come."""
        self._fetch_id = report_fetch(
            self._fetch_id, label, done_count=done_count, total_count=total_count, now=self._now()
        )

    def _open(self, rule: str, report: DeviceReport, evidence: Mapping[str, int | str]) -> None:
        draft = FindingDraft(
            self._tenant(report.device_id),
            rule,
            f"meter:{report.device_id}",
            report.at,
            meter_id=report.device_id,
            evidence=evidence,
        )
        keep_findings([draft], now=report.at)

    def _close(self, rule: str, report: DeviceReport) -> None:
        tenant_id = self._tenant(report.device_id)
        close_gone(tenant_id=tenant_id, rule=rule, subject_key=f"meter:{report.device_id}", now=report.at)

    def _tell(self, code: str, report: DeviceReport) -> None:
        keep_events([(self._tenant(report.device_id), report.device_id, code, report.at, {})])

    def _tenant(self, meter_id: int) -> int:
        if meter_id not in self._tenant_of:
            self._tenant_of[meter_id] = Meter.objects.values_list("tenant_id", flat=True).get(id=meter_id)
        return self._tenant_of[meter_id]


def _told(report: DeviceReport) -> dict[str, str]:
    """Return an error and what it was about, as evidence."""
    params = {name: str(value) for name, value in report.error_params.items() if value is not None}
    return {"error_code": report.error_code or "", **params}


def _stranger_key(port: int, peer: str) -> str:
    return f"listener:{port}:{peer}"
