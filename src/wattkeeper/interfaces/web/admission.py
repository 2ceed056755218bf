"""Who is let in when more is asked than can be done: alarms before commands before readings before reports.

A request runs, waits for a turn, or is told at once to come back later; what was let in is always finished.
Each class may take so many of the places that some stay free for the classes before it. Where many wait,
half of the places are given: what runs side by side shares the processors, so that one among eight takes
eight times as long. When the waiting room is full, the last of the least urgent class gives its seat to a
more urgent one.
"""

import asyncio
import heapq
import json
from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from itertools import count
from typing import Any

from prometheus_client import Counter

from wattkeeper.interfaces.messages import sentence, to_language

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PLACES_COUNT = 8
WAITING_MAX_COUNT = 64
RETRY_AFTER_S = 2
CODE = "requests.overloaded"
SHED = Counter("wattkeeper_requests_shed", "Requests told to come back later", ["kind"], registry=None)


class Rank(IntEnum):
    """Classes of requests, the most urgent first."""

    ALARMS = 0
    COMMANDS = 1
    READINGS = 2
    REPORTS = 3


PLACES_SHARE_PCT = {Rank.ALARMS: 100, Rank.COMMANDS: 88, Rank.READINGS: 75, Rank.REPORTS: 38}
CROWDED_SHARE_PCT = {Rank.ALARMS: 50, Rank.COMMANDS: 38, Rank.READINGS: 25, Rank.REPORTS: 13}
PATIENCE_S = {Rank.ALARMS: 10.0, Rank.COMMANDS: 5.0, Rank.READINGS: 5.0, Rank.REPORTS: 2.0}
_UNCOUNTED = ("/healthz", "/metrics")
_BY_WORD = {
    **dict.fromkeys(("findings", "alarms"), Rank.ALARMS),
    **dict.fromkeys(("commands", "login", "logout", "static"), Rank.COMMANDS),
    **dict.fromkeys(("bills", "reports", "jobs", "audit", "accuracy", "users", "exports"), Rank.REPORTS),
}


def rank_of(path: str) -> Rank:
    """Return the class of a request by its path."""
    if path.endswith(".csv"):
        return Rank.REPORTS
    return min((_BY_WORD[word] for word in path.split("/") if word in _BY_WORD), default=Rank.READINGS)


class Admission:
    """An ASGI application in front of another, with places and a waiting room."""

    def __init__(
        self,
        app: App,
        *,
        places_count: int = PLACES_COUNT,
        waiting_max_count: int = WAITING_MAX_COUNT,
        patience_s: Mapping[Rank, float] = PATIENCE_S,
    ) -> None:
        self._app = app
        self._places_count = places_count
        self._limits, self._crowded_limits = (
            {rank: max(1, places_count * pct // 100) for rank, pct in shares.items()}
            for shares in (PLACES_SHARE_PCT, CROWDED_SHARE_PCT)
        )
        self._waiting_max_count = waiting_max_count
        self._patience_s = patience_s
        self._running_count = 0
        self._order = count()
        self._waiting: list[tuple[Rank, int, asyncio.Future[bool]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or tell it to come back later."""
        if scope["type"] != "http" or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        rank = rank_of(scope["path"])
        if not await self._enter(rank):
            SHED.labels(rank.name.lower()).inc()
            await _refuse(scope, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._leave()

    async def _enter(self, rank: Rank) -> bool:
        if self._has_place(rank) and not self._is_anyone_before(rank):
            self._running_count += 1
            return True
        if len(self._waiting) >= self._waiting_max_count and not self._give_seat(rank):
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        seat = (rank, next(self._order), turn)
        heapq.heappush(self._waiting, seat)
        try:
            return await asyncio.wait_for(asyncio.shield(turn), self._patience_s[rank])
        except TimeoutError:
            return self._stand_up(seat)
        except asyncio.CancelledError:  # the asker has gone
            if self._stand_up(seat):
                self._leave()
            raise

    def _has_place(self, rank: Rank) -> bool:
        is_crowded = len(self._waiting) >= self._places_count
        limits = self._crowded_limits if is_crowded else self._limits
        return self._running_count < limits[rank]

    def _is_anyone_before(self, rank: Rank) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= rank

    def _stand_up(self, seat: tuple[Rank, int, "asyncio.Future[bool]"]) -> bool:
        """Leave the waiting room; whether a place was given in the same moment."""
        if seat[2].done():
            return seat[2].result()
        self._waiting.remove(seat)
        heapq.heapify(self._waiting)
        return False

    def _give_seat(self, rank: Rank) -> bool:
        """Send the last of the least urgent away, if it is less urgent than `rank`."""
        last = max(self._waiting, default=None)
        if last is None or last[0] <= rank:
            return False
        last[2].set_result(False)
        self._waiting.remove(last)
        heapq.heapify(self._waiting)
        return True

    def _leave(self) -> None:
        self._running_count -= 1
        while self._waiting and self._has_place(self._waiting[0][0]):
            _, _, turn = heapq.heappop(self._waiting)
            self._running_count += 1
            turn.set_result(True)


async def _refuse(scope: Scope, send: Send) -> None:
    asked = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    text = sentence(CODE, {"seconds": RETRY_AFTER_S}, to_language(asked.split(",")[0].split(";")[0]))
    is_api = scope["path"].startswith("/api/")
    body = json.dumps({"code": CODE, "message": text, "params": {}}, ensure_ascii=False) if is_api else text
    headers = {
        "content-type": "application/json" if is_api else "text/plain; charset=utf-8",
        "retry-after": str(RETRY_AFTER_S),
        "cache-control": "no-store",
    }
    plain = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 503, "headers": plain})
    await send({"type": "http.response.body", "body": body.encode()})
