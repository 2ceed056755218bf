"""A program with a key that calls the API over Django's test client."""

import json
from typing import Any

from django.test import Client

from relational import NOW
from wattkeeper.actions.accounts.create_api_key import create_api_key
from wattkeeper.actions.actor import Actor

BASE = "/api/v1"


class Caller:
    """A program with a key."""

    def __init__(self, actor: Actor, *, token: str | None = None) -> None:
        assert actor.user_id is not None
        self._client = Client()
        self.token = token or create_api_key(actor=actor, now=NOW, user_id=actor.user_id, name="test")

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return self._client.generic(
            method,
            BASE + path,
            headers={"Authorization": f"Bearer {self.token}", **headers},
            **content,  # type: ignore[arg-type]
        )
