"""What holds a bill up, told to the operator as a finding with the usage point and the code."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from wattkeeper.actions.refusals import is_passing
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.registry.models import UsagePoint

RULE = "billing.held"
FAILED = "billing.failed"  # a fault of ours
log = structlog.get_logger("billing")


@dataclass(frozen=True, slots=True)
class Held:
    """A bill that could not be issued, and why."""

    usage_point: UsagePoint
    error: UnableToBill


def held_by(error: Exception, point: UsagePoint) -> UnableToBill:
    """Return what holds up one bill: ``billing.failed`` for what nobody foresaw; the log has the rest.

    What passes by itself is raised again: it holds up every bill.
    """
    if isinstance(error, UnableToBill):
        return error
    if is_passing(error):
        raise error
    code = error.code if isinstance(error, WattkeeperError) else type(error).__name__
    log.error(FAILED, usage_point_id=point.id, code=code, exc_info=error)
    return UnableToBill(FAILED, usage_point=point.code, reason=code)


def tell_held(
    point: UsagePoint, subject_key: str, errors: Sequence[UnableToBill], *, starts_at: datetime, now: datetime
) -> None:
    """Keep the first of what holds up a usage point or a bill as its finding, or end the one that was."""
    if not errors:
        close_gone(tenant_id=point.tenant_id, rule=RULE, subject_key=subject_key, now=now)
        return
    error = errors[0]
    draft = FindingDraft(
        point.tenant_id,
        RULE,
        subject_key,
        starts_at,
        usage_point_id=point.id,
        evidence={"code": error.code, **{name: str(value) for name, value in error.params.items()}},
    )
    keep_findings([draft], now=now)
