"""Bodies of requests stay in memory, never in a temporary file: bounded in size, and in how many at once."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.web.problems import body_of, status_of

BODY_MAX_BYTES = 66 * 1024 * 1024
LARGE_BYTES = 1024 * 1024
LARGE_MAX_COUNT = 4
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class BoundedBody:
    """Refuses a body over `BODY_MAX_BYTES`, and a large one while `LARGE_MAX_COUNT` others are held."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._large_count = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        got_bytes, is_held = 0, False

        async def counted() -> Message:
            nonlocal got_bytes, is_held
            message = await receive()
            got_bytes += len(message.get("body", b""))
            if got_bytes > LARGE_BYTES and not is_held:
                self._hold()
                is_held = True
            if got_bytes > BODY_MAX_BYTES:
                raise WattkeeperError("requests.body-too-large", limit_bytes=BODY_MAX_BYTES)
            return message

        try:
            _check_declared(scope)
            await self._app(scope, counted, send)
        except WattkeeperError as error:
            await _refuse(error, scope, send)
        finally:
            self._large_count -= is_held

    def _hold(self) -> None:
        if self._large_count >= LARGE_MAX_COUNT:
            raise WattkeeperError("requests.too-many-uploads", is_permanent=False)
        self._large_count += 1


def _check_declared(scope: dict[str, Any]) -> None:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > BODY_MAX_BYTES:
        raise WattkeeperError("requests.body-too-large", limit_bytes=BODY_MAX_BYTES)


async def _refuse(error: WattkeeperError, scope: dict[str, Any], send: Send) -> None:
    """Answer before Django has seen the request."""
    accepted = dict(scope["headers"]).get(b"accept-language", b"")
    language = "zh-hans" if accepted.lower().startswith(b"zh") else "en"
    body = json.dumps(body_of(error, language), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if not error.is_permanent:
        headers.append((b"retry-after", b"10"))
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
