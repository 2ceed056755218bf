"""What a job's work gets and what it gives; who it is done for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role, User
from wattkeeper.data.collection.job_queue import ClaimedJob

Progress = Callable[[int, int], None]
"""Called with (done_count, total_count)."""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job's work ended: counts by name, and each thing left out as code and params.

    `has_failed`: what was left out is all of it, as was asked.
    """

    result: Mapping[str, int]
    errors: tuple[Mapping[str, Any], ...] = ()
    has_failed: bool = False


def requester_params(actor: Actor) -> dict[str, str]:
    """Return what of the requester a job keeps besides the person's id."""
    return {"requester_name": actor.name, "requester_origin": actor.origin}


def requester_of(job: ClaimedJob) -> Actor:
    """Return for whom a job is done, with the role of now: what was taken away meanwhile is gone.

    :raises WattkeeperError: ``jobs.requester-inactive``
    """
    origin = str(job.params["requester_origin"])
    if job.requested_by_id is None:
        return Actor(job.tenant_id, None, str(job.params["requester_name"]), Role.ADMINISTRATOR, origin)
    user = User.objects.get(id=job.requested_by_id)
    if not user.is_active or user.tenant_id != job.tenant_id:
        raise WattkeeperError("jobs.requester-inactive", username=user.username)
    return Actor.of_user(user, origin=origin)


def plain_error(error: WattkeeperError) -> dict[str, Any]:
    """Return an error as a job keeps it."""
    return {"code": error.code, "params": {name: str(value) for name, value in error.params.items()}}
