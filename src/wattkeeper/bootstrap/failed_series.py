"""Series that could not be derived, as findings of their usage points, for as long as they rest."""

from collections.abc import Sequence
from datetime import datetime

from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.collection.windows import find_resting
from wattkeeper.data.registry.models import Series
from wattkeeper.pipeline.derive import Failure

RULE = "pipeline.failed"


def keep_failed(tenant_id: int, failures: Sequence[Failure], now: datetime) -> None:
    """Tell of each series that a run failed for, once until it is derived; close what rests no more.

    A finding says the code, or the kind of error, and nothing of what the error says: the log does.
    """
    open_ones = Finding.objects.filter(tenant_id=tenant_id, rule=RULE, state=Finding.State.OPEN)
    told = dict(open_ones.values_list("subject_key", "starts_at"))
    if not failures and not told:
        return
    resting = {f"series:{series_id}": from_at for series_id, from_at in find_resting(tenant_id).items()}
    codes = {f"series:{failure.series_id}": failure.code for failure in failures}
    keys = sorted(codes.keys() & resting.keys())
    series_ids = [int(key.removeprefix("series:")) for key in keys]
    points = dict(Series.objects.filter(id__in=series_ids).values_list("id", "usage_point_id"))
    drafts = [
        FindingDraft(
            tenant_id,
            RULE,
            key,
            told.get(key, resting[key]),
            usage_point_id=points.get(series_id),
            evidence={"code": codes[key]},
        )
        for key, series_id in zip(keys, series_ids, strict=True)
    ]
    keep_findings(drafts, now=now)
    for key in sorted(told.keys() - resting.keys()):
        close_gone(tenant_id=tenant_id, rule=RULE, subject_key=key, now=now)
