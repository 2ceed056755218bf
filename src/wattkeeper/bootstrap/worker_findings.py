"""What the worker fails at, as findings of each organisation that loses by it."""

from datetime import datetime

import structlog
from django.db import Error

from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.registry.models import Tenant

RULE = "worker.failed"
log = structlog.get_logger()


class WorkerFindings:
    """Opens a finding when a task begins to fail and closes it when it goes again."""

    def __init__(self) -> None:
        self._is_failing: dict[tuple[str, tuple[int, ...] | None], bool] = {}

    def keep(self, what: str, told: tuple[int, ...] | None, code: str, at: datetime) -> None:
        """Keep what has changed; the first word on a task also closes what an earlier process left open.

        `told`: organisations, None for all. `code`: empty where it went, or where it will by itself.
        """
        if self._is_failing.get((what, told)) is bool(code):
            return
        try:
            for tenant_id in Tenant.objects.values_list("id", flat=True) if told is None else told:
                self._keep(tenant_id, what, code, at)
        except Error as error:  # the log has said it; the next pass says it to people
            log.warning("worker.untold", what=what, reason=type(error).__name__)
        else:
            self._is_failing[what, told] = bool(code)

    def _keep(self, tenant_id: int, what: str, code: str, at: datetime) -> None:
        subject_key = f"worker:{what}"
        if code:
            evidence = {"what": what, "code": code}
            keep_findings([FindingDraft(tenant_id, RULE, subject_key, at, evidence=evidence)], now=at)
        else:
            close_gone(tenant_id=tenant_id, rule=RULE, subject_key=subject_key, now=at)
