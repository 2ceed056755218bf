"""Bodies of requests: bounded each and together, and never in a file."""

import asyncio
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import InMemoryUploadedFile, SimpleUploadedFile
from django.core.handlers.asgi import ASGIHandler

from wattkeeper.interfaces.web import bounded_body
from wattkeeper.interfaces.web.bounded_body import BODY_MAX_BYTES, LARGE_MAX_COUNT, BoundedBody

MIB = b"x" * (1 << 20)


def scope_of(**headers: str) -> dict[str, Any]:
    return {
        "type": "http",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }


async def ask(app: Any, parts: list[bytes], **headers: str) -> tuple[int, dict[str, Any]]:
    """Send a body in parts; return status and answer."""
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope_of(**headers), receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"] or b"{}")


async def swallow(scope: Any, receive: Any, send: Any) -> None:
    """Read the whole body and say it was good."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_body_over_the_limit_is_refused_declared_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    app = BoundedBody(swallow)
    assert (await ask(app, [MIB] * 3))[0] == 200
    status, answer = await ask(app, [], content_length=str(BODY_MAX_BYTES + 1), accept_language="zh-CN")
    assert (status, answer["code"]) == (413, "requests.body-too-large")
    assert "字节" in answer["message"]
    monkeypatch.setattr(bounded_body, "BODY_MAX_BYTES", 2 << 20)
    status, answer = await ask(app, [MIB] * 3)
    assert (status, answer["code"]) == (413, "requests.body-too-large")
    assert (await ask(app, [], content_length="-1"))[0] == 413


async def test_only_some_large_bodies_are_held_at_once() -> None:
    app = BoundedBody(swallow)
    answers = await asyncio.gather(*(ask(app, [MIB] * 3) for _ in range(LARGE_MAX_COUNT + 3)))
    assert sorted(status for status, _ in answers) == [200] * LARGE_MAX_COUNT + [503] * 3
    assert (await ask(app, [MIB] * 3))[0] == 200, "what was held is free again"


async def test_a_large_file_lies_in_memory_only(settings: Any) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": MIB * 20, "more_body": False}

    body = await ASGIHandler().read_body(receive)
    assert body._rolled is False
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1 << 20
    assert (await ASGIHandler().read_body(receive))._rolled is True, "as it would be without our setting"


def test_an_upload_has_no_temporary_file(rf: Any) -> None:
    request = rf.post("/", {"file": SimpleUploadedFile("a.csv", MIB * 20)})
    assert isinstance(request.FILES["file"], InMemoryUploadedFile)
