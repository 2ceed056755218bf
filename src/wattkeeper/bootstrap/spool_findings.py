"""The state of a head-end's spool as findings of each tenant whose links it reads: all of them lose by it."""

from datetime import datetime

from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.collection.models import MAIN, Link
from wattkeeper.headend.ports import SpoolReport

ALARM_RULE = "collection.spool-alarm"
FULL_RULE = "collection.spool-full"
FAILED_RULE = "collection.spool-failed"
DEAD_LETTERS_RULE = "collection.dead-letters"
SUBJECT_KEY = "spool"


class SpoolFindings:
    """Opens a finding when something of the spool begins to be wrong and closes it when it no longer is."""

    def __init__(self, headend: str = MAIN) -> None:
        self._headend = headend
        self._subject_key = SUBJECT_KEY if headend == MAIN else f"{SUBJECT_KEY}:{headend}"
        self._is_on: dict[str, bool] = {}

    def keep(self, report: SpoolReport, at: datetime) -> None:
        """Keep what has changed; the first report also closes what an earlier process left open."""
        states = {
            ALARM_RULE: report.is_alarmed,
            FULL_RULE: report.is_refusing,
            FAILED_RULE: report.is_failing,
            DEAD_LETTERS_RULE: report.dead_letters_count > 0,
        }
        changed = [rule for rule, is_on in states.items() if self._is_on.get(rule) is not is_on]
        if not changed:
            return
        tenants = Link.objects.filter(retired_at__isnull=True, headend=self._headend).order_by("tenant_id")
        for tenant_id in tenants.values_list("tenant_id", flat=True).distinct():
            for rule in changed:
                self._keep(tenant_id, rule, report, at, is_on=states[rule])
        self._is_on = states

    def _keep(self, tenant_id: int, rule: str, report: SpoolReport, at: datetime, *, is_on: bool) -> None:
        if not is_on:
            close_gone(tenant_id=tenant_id, rule=rule, subject_key=self._subject_key, now=at)
            return
        evidence: dict[str, int | str] = {}
        if rule == DEAD_LETTERS_RULE:
            evidence = {"count": report.dead_letters_count, "reason": report.reason}
        keep_findings([FindingDraft(tenant_id, rule, self._subject_key, at, evidence=evidence)], now=at)
