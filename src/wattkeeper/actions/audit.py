"""One verb = one transaction = one audit row: no audit, no action."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import IntegrityError, transaction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.refusals import refusal_of
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.audit.chain import append_record

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class Entry:
    """What the verb says of itself: `subject` (``meter:12``) and `detail` (before, after, why)."""

    subject: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def audited(
    verb: str, *, role: Role = Role.OPERATOR
) -> Callable[[Callable[Concatenate[Entry, P], R]], Callable[P, R]]:
    """Return a decorator that runs the verb in a transaction with its audit row, for `role` and above.

    The verb takes an `Entry` first, which its callers do not see, and the keywords `actor` and `now`. What
    the database refuses becomes a WattkeeperError with a code.
    """

    def decorate(action: Callable[Concatenate[Entry, P], R]) -> Callable[P, R]:
        @wraps(action)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            actor = kwargs["actor"]
            if not isinstance(actor, Actor):
                raise TypeError(f"{verb} is done by somebody")
            actor.require(role)
            try:
                with transaction.atomic():
                    return _run_and_record(verb, action, actor, args, kwargs)
            except IntegrityError as error:
                raise refusal_of(error) from error

        return run

    return decorate


def _run_and_record(
    verb: str, action: Callable[..., R], actor: Actor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> R:
    entry = Entry()
    result = action(entry, *args, **kwargs)
    if not entry.subject:
        raise TypeError(f"{verb} did not say what it was done to")
    append_record(
        tenant_id=actor.tenant_id,
        recorded_at=kwargs["now"],
        actor=str(actor),
        verb=verb,
        subject=entry.subject,
        detail=entry.detail,
    )
    return result
