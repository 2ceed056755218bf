"""Days of a contract that no bill holds, told to the operator as findings of their usage point."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.billing.unbilled import unbilled_days
from wattkeeper.data.registry.models import UsagePoint

RULE = "billing.unbilled"


def tell_unbilled(point: UsagePoint, *, now: datetime, before: date | None = None) -> None:
    """Keep each run of days that no bill holds as a finding, and end those of days that one does.

    `before`: the first day of what is billed now; what lies before it should have been.
    """
    zone, subject_key = ZoneInfo(point.site.time_zone), f"usage-point:{point.id}"
    drafts = [
        FindingDraft(
            point.tenant_id,
            RULE,
            subject_key,
            local_midnight(first, zone),
            local_midnight(end, zone),
            usage_point_id=point.id,
            evidence={
                "first_date": first.isoformat(),
                "last_date": (end - timedelta(days=1)).isoformat(),
            },
        )
        for first, end in unbilled_days(point, before)
    ]
    keep_findings(drafts, now=now)
    starts = [draft.starts_at for draft in drafts]
    close_gone(tenant_id=point.tenant_id, rule=RULE, subject_key=subject_key, now=now, kept_starts=starts)
