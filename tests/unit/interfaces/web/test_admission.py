"""Three times more than can be done: commands and alarms are answered, reports wait or are turned away."""

import asyncio
import random
from collections import defaultdict
from typing import Any

import pytest

import still_time
from wattkeeper.interfaces.web import admission
from wattkeeper.interfaces.web.admission import PLACES_SHARE_PCT, Admission, Rank, rank_of

SERVICE_S = 0.1
PROCESSORS_COUNT = 2
STEP_S = 0.02
SECONDS = 10
PATHS = {
    Rank.ALARMS: "/api/v1/findings",
    Rank.COMMANDS: "/api/v1/meters/7/commands",
    Rank.READINGS: "/api/v1/measurements",
    Rank.REPORTS: "/bills/",
}
SHARE_PCT = {Rank.ALARMS: 10, Rank.COMMANDS: 15, Rank.READINGS: 35, Rank.REPORTS: 40}
OVERLOAD_RATIO = 3


class Machine:
    """What stands behind the door: its processors are shared by all that runs, so that each takes longer."""

    def __init__(self) -> None:
        self._running_count = 0
        self.done_count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._running_count += 1
        left_s = SERVICE_S
        while left_s > 1e-9:
            await asyncio.sleep(STEP_S)
            left_s -= STEP_S * min(1, PROCESSORS_COUNT / self._running_count)
        self._running_count -= 1
        self.done_count += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(app: Any, path: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> tuple[int, bytes]:
    told: dict[str, Any] = {"status": 0, "body": b""}

    async def send(message: Any) -> None:
        told.update({key: value for key, value in message.items() if key in {"status", "body"}})

    async def receive() -> Any:
        await asyncio.Event().wait()

    await app({"type": "http", "path": path, "headers": list(headers)}, receive, send)
    return told["status"], told["body"]


async def load(app: Any, seconds: float, seed: int = 1) -> dict[Rank, list[tuple[int, float]]]:
    """Ask `OVERLOAD_RATIO` times what the machine can do; (status, seconds) of each answer by class."""
    chance, answers, now_s = random.Random(seed), defaultdict(list), asyncio.get_running_loop().time
    tasks, rate = set(), OVERLOAD_RATIO * PROCESSORS_COUNT / SERVICE_S

    async def one(rank: Rank) -> None:
        began_s = now_s()
        status, _ = await ask(app, PATHS[rank])
        answers[rank].append((status, now_s() - began_s))

    ends_s = now_s() + seconds
    while now_s() < ends_s:
        for _ in range(int(rate * 0.05)):
            rank = chance.choices(list(SHARE_PCT), weights=list(SHARE_PCT.values()))[0]
            task = asyncio.ensure_future(one(rank))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)
    return answers


def p99_s(answers: list[tuple[int, float]]) -> float:
    spent = sorted(seconds for _, seconds in answers)
    return spent[len(spent) * 99 // 100]


def served_ratio(answers: list[tuple[int, float]]) -> float:
    return sum(status == 200 for status, _ in answers) / len(answers)


async def judge(seconds: float) -> None:
    machine = Machine()
    app = Admission(machine)
    answers = await load(app, seconds)
    for rank in (Rank.ALARMS, Rank.COMMANDS):
        assert p99_s(answers[rank]) < 1
        assert served_ratio(answers[rank]) == 1
    assert served_ratio(answers[Rank.REPORTS]) < served_ratio(answers[Rank.READINGS]) < 1
    told_done = sum(status == 200 for rank in Rank for status, _ in answers[rank])
    assert told_done == machine.done_count, "what was let in was done, and told"
    async with asyncio.timeout(1):  # it has recovered
        assert (await ask(app, PATHS[Rank.REPORTS]))[0] == 200


def test_urgent_requests_are_served_under_three_times_the_load() -> None:
    still_time.run(judge(SECONDS))


@pytest.mark.soak
def test_five_minutes_of_three_times_the_load() -> None:
    still_time.run(judge(300))


def test_without_admission_commands_wait_with_the_rest() -> None:
    async def first_come_first_served() -> None:
        answers = await load(Machine(), 2)
        assert p99_s(answers[Rank.COMMANDS]) > 3

    still_time.run(first_come_first_served())


def test_where_many_wait_urgent_requests_share_the_processors_with_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spent_s: list[float] = []

    async def urgent_p99_s() -> None:
        answers = await load(Admission(Machine()), SECONDS)
        spent_s.append(p99_s(answers[Rank.ALARMS] + answers[Rank.COMMANDS]))

    still_time.run(urgent_p99_s())
    monkeypatch.setattr(admission, "CROWDED_SHARE_PCT", PLACES_SHARE_PCT)
    still_time.run(urgent_p99_s())
    few_s, all_s = spent_s
    assert few_s < 0.8 * all_s


async def test_who_is_turned_away_learns_when_to_come_back() -> None:
    app = Admission(Machine(), places_count=1, waiting_max_count=0)
    first = asyncio.ensure_future(ask(app, "/bills/"))
    await asyncio.sleep(0)
    status, body = await ask(app, "/api/v1/bills")
    assert status == 503
    assert b'"code": "requests.overloaded"' in body
    status, body = await ask(app, "/bills/", ((b"accept-language", b"zh-CN,zh;q=0.9"),))
    assert "告警" in body.decode()
    assert (await first)[0] == 200
    assert (await ask(app, "/bills/"))[0] == 200


async def test_who_goes_away_while_waiting_takes_no_place_along() -> None:
    app = Admission(Machine(), places_count=1)
    for _ in range(20):
        asked = [asyncio.ensure_future(ask(app, "/commands/")) for _ in range(5)]
        await asyncio.sleep(SERVICE_S / 2)
        for task in asked[1:]:
            task.cancel()
        assert (await asked[0])[0] == 200
    assert app._running_count == 0
    assert not app._waiting


@pytest.mark.parametrize(
    ("path", "rank"),
    [
        ("/findings/7/close/", Rank.ALARMS),
        ("/meters/7/commands/DISCONNECT/", Rank.COMMANDS),
        ("/login/", Rank.COMMANDS),
        ("/meters/meters.csv", Rank.REPORTS),
        ("/jobs/import/", Rank.REPORTS),
        ("/meters/", Rank.READINGS),
        ("/", Rank.READINGS),
    ],
)
def test_classes_by_path(path: str, rank: Rank) -> None:
    assert rank_of(path) is rank
