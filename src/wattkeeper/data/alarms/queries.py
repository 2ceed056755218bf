"""Findings and device events: kept once however often seen, listed, closed when their cause is gone."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from wattkeeper.core.kernel.findings import DECIDED_BY
from wattkeeper.data.alarms.groups import GroupKey
from wattkeeper.data.alarms.models import EndDeviceEvent, Finding, FindingComment
from wattkeeper.data.alarms.past import findings_as_of, keep_past
from wattkeeper.data.registry.models import Series
from wattkeeper.data.registry.paging import Page, read_page
from wattkeeper.data.registry.quantities import REACTIVE_QUANTITIES
from wattkeeper.data.upserts import upsert

SERIES_KEY = "series:"
UPDATED_COUNT = 2000  # so many are closed or opened in one statement
_SUBJECTS_COUNT = 500
_Key = tuple[int, str, str, datetime]


@dataclass(frozen=True, slots=True)
class FindingDraft:
    """What a rule saw. `subject_key` is ``series:12``, ``meter:3``, ``link:1``."""

    tenant_id: int
    rule: str
    subject_key: str
    starts_at: datetime
    ends_at: datetime | None = None
    usage_point_id: int | None = None
    meter_id: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """Whether a person decided what it asks."""
        return DECIDED_BY in self.evidence


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as lists show it."""

    finding_id: int
    rule: str
    subject_key: str
    state: str
    starts_at: datetime
    ends_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    evidence: Mapping[str, Any]
    usage_point_id: int | None
    usage_point_code: str | None
    meter_id: int | None
    meter_serial_number: str | None


@dataclass(frozen=True, slots=True)
class CommentRow:
    """What a person said about a finding."""

    at: datetime
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something a device or its line reported."""

    event_id: int
    code: str
    occurred_at: datetime
    meter_id: int | None
    detail: Mapping[str, Any]


def keep_findings(drafts: Sequence[FindingDraft], *, now: datetime) -> None:
    """Keep findings; one already known (same rule, subject and start) gets its newer end and evidence.

    One that a rule closed, since it was no longer found, is open again. What a person closed, which takes a
    word on why, stays closed. One that is decided is closed, with what decided it in its evidence. How a
    known one stood before it changes is kept.
    """
    once = {(d.tenant_id, d.rule, d.subject_key, d.starts_at): d for d in drafts}
    known = {_key(row): row for row in _known(once)}
    again = {key for key, row in known.items() if _is_open_again(row, once[key])}
    told = {key for key, draft in once.items() if key not in known or _is_otherwise(known[key], draft)}
    changed = again | told
    keep_past((row for key, row in known.items() if key in changed), now=now)
    upsert(
        Finding,
        [
            Finding(
                tenant_id=draft.tenant_id,
                rule=draft.rule,
                subject_key=draft.subject_key,
                usage_point_id=draft.usage_point_id,
                meter_id=draft.meter_id,
                starts_at=draft.starts_at,
                ends_at=draft.ends_at,
                evidence=dict(draft.evidence),
                opened_at=now,
            )
            for key, draft in once.items()
            if key in told
        ],
        key=["tenant", "rule", "subject_key", "starts_at"],
        update=["ends_at", "evidence"],
    )
    _update(sorted(known[key].id for key in again), state=Finding.State.OPEN, closed_at=None)
    for draft in once.values():
        if draft.is_decided:
            _close_decided(draft, now)


def _close_decided(draft: FindingDraft, now: datetime) -> None:
    own = Finding.objects.filter(
        tenant_id=draft.tenant_id,
        rule=draft.rule,
        subject_key=draft.subject_key,
        starts_at=draft.starts_at,
        state=Finding.State.OPEN,
    )
    own.update(state=Finding.State.CLOSED, closed_at=now)


def _known(once: Iterable[_Key]) -> Iterator[Finding]:
    """Yield the findings of some keys, each with whether a person said something about it."""
    keys = set(once)
    subjects = sorted({subject_key for _tenant_id, _rule, subject_key, _at in keys})
    starts_at = [at for *_, at in keys]
    for start in range(0, len(subjects), _SUBJECTS_COUNT):
        rows = Finding.objects.filter(
            subject_key__in=subjects[start : start + _SUBJECTS_COUNT],
            rule__in={rule for _tenant_id, rule, *_ in keys},
            starts_at__range=(min(starts_at), max(starts_at)),
        ).annotate(has_comment=Exists(FindingComment.objects.filter(finding=OuterRef("pk"))))
        yield from (row for row in rows if _key(row) in keys)


def _key(row: Finding) -> _Key:
    return row.tenant_id, row.rule, row.subject_key, row.starts_at


def _is_open_again(row: Any, draft: FindingDraft) -> bool:
    return row.state == Finding.State.CLOSED and not row.has_comment and not draft.is_decided


def _is_otherwise(row: Finding, draft: FindingDraft) -> bool:
    """Whether a draft tells another end or evidence, which is kept as JSON, than a known finding."""
    return (row.ends_at, row.evidence) != (draft.ends_at, json.loads(json.dumps(dict(draft.evidence))))


def close_gone(
    *, tenant_id: int, rule: str, subject_key: str, now: datetime, kept_starts: Sequence[datetime] = ()
) -> int:
    """Close the open findings of a rule and subject that are no longer seen and return how many."""
    gone = Finding.objects.filter(
        tenant_id=tenant_id, rule=rule, subject_key=subject_key, state=Finding.State.OPEN
    ).exclude(starts_at__in=list(kept_starts))
    return gone.update(state=Finding.State.CLOSED, closed_at=now)


def close_window(
    *,
    tenant_id: int,
    subject_key: str,
    from_at: datetime,
    to_at: datetime,
    kept: Set[tuple[str, datetime]],
    now: datetime,
    apart: Set[str] = frozenset(),
) -> int:
    """Close a subject's open findings that start in [from_at, to_at) and are not in `kept` (rule, start).

    Those of the rules `apart` are left alone.
    """
    seen = (
        Finding.objects.filter(
            tenant_id=tenant_id,
            subject_key=subject_key,
            state=Finding.State.OPEN,
            starts_at__gte=from_at,
            starts_at__lt=to_at,
        )
        .exclude(rule__in=apart)
        .values_list("id", "rule", "starts_at")
    )
    gone = [finding_id for finding_id, rule, starts_at in seen if (rule, starts_at) not in kept]
    return Finding.objects.filter(id__in=gone).update(state=Finding.State.CLOSED, closed_at=now)


def close_windows(
    *,
    tenant_id: int,
    usage_point_ids: tuple[int, int],
    subject_keys: Set[str],
    from_at: datetime,
    to_at: datetime,
    kept: Set[tuple[str, str, datetime]],
    now: datetime,
    apart: Set[str] = frozenset(),
) -> int:
    """Close the subjects' open findings that start in [from_at, to_at) and are not in `kept` (rule, subject,
    start).

    `usage_point_ids`: the least and the greatest of the usage points that the subjects belong to. Findings of
    the rules `apart` are left alone.
    """
    seen = Finding.objects.filter(
        tenant_id=tenant_id,
        usage_point_id__gte=usage_point_ids[0],
        usage_point_id__lte=usage_point_ids[1],
        state=Finding.State.OPEN,
        starts_at__gte=from_at,
        starts_at__lt=to_at,
    ).values_list("id", "rule", "subject_key", "starts_at")
    gone = [key[0] for key in seen if key[2] in subject_keys and key[1:] not in kept and key[1] not in apart]
    return _close(gone, now)


def keep_all(
    drafts: Sequence[FindingDraft],
    *,
    tenant_id: int,
    rules: Set[str],
    subject_keys: Set[str],
    from_at: datetime,
    now: datetime,
) -> None:
    """Keep all that was found of some rules and subjects from `from_at` on; what was not any more, close."""
    keep_findings(drafts, now=now)
    kept = {(draft.rule, draft.subject_key, draft.starts_at) for draft in drafts}
    seen = Finding.objects.filter(
        tenant_id=tenant_id, rule__in=rules, state=Finding.State.OPEN, starts_at__gte=from_at
    ).values_list("id", "rule", "subject_key", "starts_at")
    _close([key[0] for key in seen if key[2] in subject_keys and key[1:] not in kept], now)


def _close(finding_ids: Sequence[int], now: datetime) -> int:
    return _update(finding_ids, state=Finding.State.CLOSED, closed_at=now)


def _update(finding_ids: Sequence[int], **fields: Any) -> int:
    for start in range(0, len(finding_ids), UPDATED_COUNT):
        Finding.objects.filter(id__in=finding_ids[start : start + UPDATED_COUNT]).update(**fields)
    return len(finding_ids)


def list_findings(
    *,
    tenant_id: int,
    state: str | None = Finding.State.OPEN,
    rule: str | None = None,
    meter_id: int | None = None,
    usage_point_id: int | None = None,
    site_id: int | None = None,
    group: GroupKey | None = None,
    as_of: datetime | None = None,
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[FindingRow]:
    """Return one page of findings, as they stand or stood `as_of` an instant, newest first.

    `state` None: open and closed.

    :raises WattkeeperError: ``registry.instant-naive``
    """
    exact = {
        "then_state": state,
        "rule": rule,
        "meter_id": meter_id,
        "usage_point_id": usage_point_id,
        "usage_point__site_id": site_id,
    }
    query = findings_as_of(tenant_id, as_of).filter(
        **{name: value for name, value in exact.items() if value is not None}
    )
    if group is not None:
        query = query.filter(group.condition())
    rows = query.select_related("usage_point", "meter").order_by("-starts_at", "-id")
    return read_page(rows, _rows, offset_index=offset_index, limit_count=limit_count)


def list_open_meters(rules: Set[str]) -> list[tuple[str, int]]:
    """Return (rule, meter) of the open findings of some rules about meters, whosever meters they are."""
    rows = Finding.objects.filter(rule__in=rules, state=Finding.State.OPEN, subject_key__startswith="meter:")
    return [(rule, meter_id) for rule, meter_id in rows.values_list("rule", "meter_id") if meter_id]


def get_finding(*, tenant_id: int, finding_id: int, as_of: datetime | None = None) -> FindingRow | None:
    """Return one finding, as it stands or stood `as_of` an instant; None where there was none of that id.

    :raises WattkeeperError: ``registry.instant-naive``
    """
    own = findings_as_of(tenant_id, as_of).filter(id=finding_id)
    return next(iter(_rows(own.select_related("usage_point", "meter"))), None)


def count_open_findings(*, tenant_id: int) -> int:
    """Return how many findings are open."""
    return Finding.objects.filter(tenant_id=tenant_id, state=Finding.State.OPEN).count()


def list_comments(*, tenant_id: int, finding_id: int) -> list[CommentRow]:
    """Return what was said about a finding, oldest first."""
    comments = FindingComment.objects.filter(finding__tenant_id=tenant_id, finding_id=finding_id)
    return [
        CommentRow(comment.at, comment.author.username if comment.author else "", comment.text)
        for comment in comments.select_related("author").order_by("at", "id")
    ]


def keep_events(events: Sequence[tuple[int, int, str, datetime, Mapping[str, Any]]]) -> None:
    """Keep device events (tenant_id, meter_id, code, occurred_at, detail); a known one changes nothing."""
    EndDeviceEvent.objects.bulk_create(
        [
            EndDeviceEvent(
                tenant_id=tenant_id, meter_id=meter_id, code=code, occurred_at=at, detail=dict(detail)
            )
            for tenant_id, meter_id, code, at, detail in events
        ],
        ignore_conflicts=True,
    )


def list_events(*, tenant_id: int, meter_id: int | None = None, limit_count: int = 100) -> list[EventRow]:
    """Return the newest events, of one meter or of all."""
    query = EndDeviceEvent.objects.filter(tenant_id=tenant_id)
    if meter_id is not None:
        query = query.filter(meter_id=meter_id)
    return [
        EventRow(event.id, event.code, event.occurred_at, event.meter_id, event.detail)
        for event in query.order_by("-occurred_at", "-id")[:limit_count]
    ]


def _rows(findings: Iterable[Any]) -> list[FindingRow]:
    """Return findings as lists show them, figures of series of reactive energy in their own unit."""
    found = list(findings)
    keys = [each.subject_key for each in found if each.subject_key.startswith(SERIES_KEY)]
    ids = {int(key.removeprefix(SERIES_KEY)) for key in keys}
    series = Series.objects.filter(id__in=ids, quantity__in=REACTIVE_QUANTITIES)
    reactive = {f"{SERIES_KEY}{series_id}" for series_id in series.values_list("id", flat=True)}
    return [_row(finding, is_reactive=finding.subject_key in reactive) for finding in found]


def _row(finding: Any, *, is_reactive: bool) -> FindingRow:
    evidence = finding.then_evidence
    if is_reactive:
        evidence = {re.sub("_milliwh$", "_millivarh", name): value for name, value in evidence.items()}
    return FindingRow(
        finding_id=finding.id,
        rule=finding.rule,
        subject_key=finding.subject_key,
        state=finding.then_state,
        starts_at=finding.starts_at,
        ends_at=finding.then_ends_at,
        opened_at=finding.opened_at,
        closed_at=finding.then_closed_at,
        evidence=evidence,
        usage_point_id=finding.usage_point_id,
        usage_point_code=finding.usage_point.code if finding.usage_point else None,
        meter_id=finding.meter_id,
        meter_serial_number=finding.meter.serial_number if finding.meter else None,
    )
