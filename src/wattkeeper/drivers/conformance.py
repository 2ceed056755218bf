"""What every driver must hold to, as checks anybody can run over golden exchanges. They raise AssertionError.

A `Case` is one verb of a driver, the frames that pass and the result. `check_case` runs all checks of a case.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wattkeeper.drivers.api import Answer, Driver, Request, Split, Steps

GARBAGE = (b"\x00", b"\xff\x00\x55", b"\r\n", bytes(range(1, 32)))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and the frame that answers it. `request` None: whatever the driver sends."""

    answer: bytes
    request: bytes | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A verb of a driver and the frames it takes. `has_checksum`: a changed byte can be told.

    `garbage_end`: what ends garbage in this protocol, where a frame may not begin just anywhere.
    """

    name: str
    make: Callable[[], Driver]
    verb: Callable[[Driver], Steps[Any]]
    exchanges: Sequence[Exchange]
    expected: object
    has_checksum: bool = True
    garbage_end: bytes = b""


def run_steps(steps: Steps[Any], answer: Callable[[Request], bytes]) -> Any:
    """
    Return the result of a verb, each request answered by `answer`.

    :raises AssertionError: if an answer does not match its request
    """
    frame_index = 0
    try:
        request = next(steps)
        while True:
            frame = answer(request)
            assert request.matches(frame), f"answer {frame.hex()} does not match {request.frame.hex()}"
            request = steps.send(Answer(frame, frame_index))
            frame_index += 1
    except StopIteration as finished:
        return finished.value


def run_exchanges(steps: Steps[Any], exchanges: Iterable[Exchange]) -> Any:
    """
    Return the result of a verb over golden exchanges.

    :raises AssertionError: if a request differs, or there are too few or too many
    """
    left = list(exchanges)

    def answer(request: Request) -> bytes:
        assert left, f"one request too many: {request.frame.hex()}"
        exchange = left.pop(0)
        if exchange.request is not None:
            assert request.frame == exchange.request, f"sent {request.frame.hex()}"
        return exchange.answer

    result = run_steps(steps, answer)
    assert not left, f"{len(left)} exchanges were not asked for"
    return result


def feed(driver: Driver, parts: Iterable[bytes]) -> tuple[list[bytes], list[str]]:
    """Return the frames and the reasons for garbage that a driver finds in bytes arriving in parts."""
    frames: list[bytes] = []
    garbage: list[str] = []
    buffer = b""
    for part in parts:
        buffer += part
        while buffer:
            split: Split = driver.split(buffer)
            assert 0 <= split.used_bytes <= len(buffer), "used more bytes than there are"
            if split.used_bytes == 0:
                assert split.frame is None, "a frame of no bytes"
                break
            if split.frame is None:
                garbage.append(split.garbage)
            else:
                frames.append(split.frame)
            buffer = buffer[split.used_bytes :]
    return frames, garbage


def check_result(case: Case) -> None:
    """The verb asks what the golden exchanges hold and returns what is expected."""
    result = run_exchanges(case.verb(case.make()), case.exchanges)
    assert result == case.expected, f"{case.name}: {result!r}"


def check_cut_anywhere(case: Case) -> None:
    """However the bytes are cut, the same frames come out and nothing is called garbage."""
    for exchange in case.exchanges:
        octets = exchange.answer * 2
        for cut in range(1, len(octets)):
            frames, garbage = feed(case.make(), (octets[:cut], octets[cut:]))
            assert frames == [exchange.answer] * 2, f"cut at {cut}"
            assert not garbage, f"cut at {cut}: {garbage}"


def check_garbage_skipped(case: Case) -> None:
    """Garbage before a frame is thrown away and counted; the frame is found."""
    for exchange in case.exchanges:
        for garbage in GARBAGE:
            octets = garbage + case.garbage_end + exchange.answer
            frames, reasons = feed(case.make(), [octets])
            assert frames[-1:] == [exchange.answer], f"lost behind {garbage.hex()}"
            assert _are_named(reasons), f"{garbage.hex()} was not counted"


def check_damage_counted(case: Case) -> None:
    """A frame with one byte changed is never handed on, never raised, and counted; the next one is found."""
    for exchange in case.exchanges:
        for index in range(len(exchange.answer)):
            damaged = bytearray(exchange.answer)
            damaged[index] ^= 0x04
            frames, reasons = feed(case.make(), [bytes(damaged) + exchange.answer + exchange.answer])
            assert bytes(damaged) not in frames, f"byte {index} changed and nobody saw"
            assert _are_named(reasons), f"byte {index}: not counted"
            assert exchange.answer in frames, f"byte {index}: the next frame was lost"


def _are_named(reasons: list[str]) -> bool:
    return bool(reasons) and all(reasons)


def check_late_answers(case: Case) -> None:
    """The answer to one request does not match another one of the same verb."""
    requests: list[Request] = []
    left = list(case.exchanges)

    def answer(request: Request) -> bytes:
        requests.append(request)
        return left.pop(0).answer

    run_steps(case.verb(case.make()), answer)
    for asked, request in enumerate(requests):
        for answered, exchange in enumerate(case.exchanges):
            if requests[answered].frame != request.frame:
                assert not request.matches(exchange.answer), f"answer {answered} taken for {asked}"


def check_case(case: Case) -> None:
    """Run every check of a case."""
    check_result(case)
    check_cut_anywhere(case)
    check_garbage_skipped(case)
    check_late_answers(case)
    if case.has_checksum:
        check_damage_counted(case)
