"""``Idempotency-Key``: a repeated request gets the first one's answer and does nothing again."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import IdempotencyKey
from wattkeeper.interfaces.web.services import get_services

HEADER = "Idempotency-Key"
KEY_MAX_COUNT = 255


def once(request: HttpRequest, actor: Actor, action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `action` returns, or what it returned when this key was first used.

    A refused action leaves the key unused. Without the header nothing is kept.

    :raises WattkeeperError: ``requests.key-reused`` for the same key with another request,
        ``requests.in-flight`` while the first is being answered, ``requests.key-too-long``
    """
    key = request.headers.get(HEADER, "")
    if not key or actor.user_id is None:
        return action()
    if len(key) > KEY_MAX_COUNT:
        raise WattkeeperError("requests.key-too-long", limit=KEY_MAX_COUNT)
    route = f"{request.method} {request.path}"
    body_hash = hashlib.sha256(request.body).hexdigest()
    try:
        with transaction.atomic():
            kept = IdempotencyKey.objects.create(
                user_id=actor.user_id,
                key=key,
                route=route[:200],
                body_hash=body_hash,
                created_at=get_services().now(),
            )
    except IntegrityError:
        return _first_answer(actor.user_id, key, route, body_hash)
    try:
        answer = action()
    except BaseException:
        kept.delete()
        raise
    kept.status_code = 200
    kept.response = json.dumps(answer, cls=DjangoJSONEncoder)
    kept.save(update_fields=["status_code", "response"])
    return answer


def _first_answer(user_id: int, key: str, route: str, body_hash: str) -> dict[str, Any]:
    first = IdempotencyKey.objects.filter(user_id=user_id, key=key).first()
    if first is None or first.status_code is None:
        raise WattkeeperError("requests.in-flight", is_permanent=False)
    if first.route != route[:200] or first.body_hash != body_hash:
        raise WattkeeperError("requests.key-reused")
    answer: dict[str, Any] = json.loads(first.response)
    return answer
