"""Counters and what a meter, or whoever speaks for it, may do to them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.drivers.dlms_three_phase.test_driver import Line, Meter, Reservations, config
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import Answer, DeviceRefused, Driver, Request
from wattkeeper.drivers.dlms_three_phase.counters import MAX_JUMP, Counters
from wattkeeper.drivers.dlms_three_phase.driver import make_driver
from wattkeeper.protocols.dlms import security, wrapper


class LossyLine(Line):
    """Loses one answer and asks again, as the head-end does; keeps what was sent."""

    lost_index = -1
    is_renewing = True
    sent: ClassVar[list[bytes]] = []

    def ask(self, driver: Driver, request: Request) -> Answer:
        self.sent = [*self.sent, request.frame]
        answer = super().ask(driver, request)
        if len(self.sent) - 1 != self.lost_index:
            return answer
        renewed = request.renew() if request.renew is not None and self.is_renewing else request.frame
        return self.ask(driver, replace(request, frame=renewed))


def counters_in(frames: list[bytes]) -> Iterator[int]:
    for frame in frames:
        ciphered = security.unwrap(frame[wrapper.HEADER_BYTES :])
        if ciphered is not None:
            yield int.from_bytes(ciphered.text[1:5], "big")


def session_losing(index: int, *, is_renewing: bool = True) -> list[bytes]:
    line = LossyLine(Meter())
    line.lost_index, line.is_renewing = index, is_renewing
    driver = make_driver(config())
    line.run(driver, driver.open())
    assert len(line.run(driver, driver.read_live())) == 3
    assert line.run(driver, driver.read_relay()) is RelayState.CONNECTED
    return line.sent


@pytest.mark.parametrize("index", range(8))
def test_what_is_asked_again_is_a_frame_of_its_own(index: int) -> None:
    used = list(counters_in(session_losing(index)))
    assert len(used) >= 5
    assert len(set(used)) == len(used)


def test_sending_the_same_frame_again_is_refused_by_the_meter() -> None:
    """The planted fault: a repetition byte by byte, whose counter the meter has seen."""
    length = len(session_losing(-1))
    with pytest.raises(DeviceRefused) as refused:
        session_losing(length - 1, is_renewing=False)
    assert refused.value.code == "dlms.counter-refused"


def test_a_counter_that_goes_back_is_never_followed() -> None:
    reserve = Reservations(next_value=10_000)
    counters = Counters(reserve)
    first = counters.take()
    counters.skip_past(3)
    counters.skip_past(-1)
    assert counters.take() == first + 1


def test_counters_are_not_used_up_little_by_little() -> None:
    reserve = Reservations()
    counters = Counters(reserve)

    def creep() -> None:
        for _ in range(64):
            counters.skip_past(counters.take() + MAX_JUMP // 16)

    with pytest.raises(DeviceRefused) as refused:
        creep()
    assert refused.value.code == "drivers.counter-jump"
    assert reserve.next_value < 1.1 * MAX_JUMP
    assert counters.take() < reserve.next_value


def test_a_jump_to_the_end_does_not_lock_the_meter_out() -> None:
    reserve = Reservations()
    counters = Counters(reserve)
    with pytest.raises(DeviceRefused):
        counters.skip_past(2**32 - 1)
    assert counters.take() < 200
    meter = Meter()
    line, driver = Line(meter), make_driver(config(reserve_counters=reserve))
    line.run(driver, driver.open())


class Blocks:
    """Reservations that begin at 100, 10 000, 20 000 ...: others reserve in between."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, count: int) -> int:
        self.asked.append(count)
        return 10_000 * (len(self.asked) - 1) or 100


def test_sixty_four_are_reserved_at_a_time_and_used_up() -> None:
    blocks = Blocks()
    counters = Counters(blocks)
    assert [counters.take() for _ in range(65)] == [*range(100, 164), 10_000]
    assert blocks.asked == [64, 64]


@pytest.mark.parametrize(
    ("latest", "following", "asked"),
    [(0, 100, [64]), (99, 100, [64]), (100, 101, [64]), (162, 163, [64]), (163, 10_000, [64, 64])],
)
def test_what_the_meter_has_seen_is_skipped(latest: int, following: int, asked: list[int]) -> None:
    blocks = Blocks()
    counters = Counters(blocks)
    counters.skip_past(latest)
    assert (counters.take(), blocks.asked) == (following, asked)


def test_a_jump_beyond_what_is_reserved_reserves_it_too() -> None:
    reserve = Reservations(next_value=100)
    counters = Counters(reserve)
    counters.skip_past(164)
    assert reserve.next_value == 100 + 64 + 65 + 64
    assert [counters.take() for _ in range(128)] == list(range(165, 293))
    assert reserve.next_value == 293


@pytest.mark.parametrize("ours", [100, 10_000])
def test_two_to_the_twenty_may_be_skipped_and_not_one_more(ours: int) -> None:
    """Counted from the counter that would be next; what lies behind ours costs nothing."""

    def about_to_hand_out() -> Counters:
        counters = Counters(Blocks())
        for _ in range(64 if ours == 10_000 else 0):
            counters.take()
        counters.skip_past(3)
        counters.skip_past(ours - 1)
        return counters

    counters = about_to_hand_out()
    counters.skip_past(ours + 2**20 - 1)
    assert counters.take() >= ours + 2**20
    with pytest.raises(DeviceRefused, match=r"drivers\.counter-jump"):
        about_to_hand_out().skip_past(ours + 2**20)


class Believing(Counters):
    """The planted fault: ours is whatever the meter says it has seen last."""

    def skip_past(self, latest: int) -> None:
        if self._next >= self._end:
            self._take_over(1)
        self._next, self._end = latest + 1, 2**40


def handed_out(make: type[Counters], told: list[int | None], crash_every: int) -> list[int]:
    """Return the counters used, whatever the meter says in between and however often we start anew."""
    reserve = Reservations()
    counters, used = make(reserve), []
    for index, latest in enumerate(told, 1):
        if latest is not None:
            try:
                counters.skip_past(latest)
            except DeviceRefused:
                continue
        used.append(counters.take())
        if index % crash_every == 0:
            counters = make(reserve)
    return used


@given(st.lists(st.one_of(st.none(), st.integers(-1, 2**32)), max_size=60), st.integers(1, 1000))
def test_no_counter_is_handed_out_twice(told: list[int | None], crash_every: int) -> None:
    used = handed_out(Counters, told, crash_every)
    assert used == sorted(set(used))
    assert all(counter < 2**32 for counter in used)


GOES_BACK: list[int | None] = [None, None, 0, None]
JUMPS_TO_THE_END: list[int | None] = [None, 2**32 - 1, None]


@pytest.mark.parametrize(
    ("told", "believed", "ours"),
    [(GOES_BACK, [1, 2, 1, 2], [1, 2, 3, 4]), (JUMPS_TO_THE_END, [1, 2**32, 2**32 + 1], [1, 2])],
)
def test_taking_what_the_meter_says_is_caught(
    told: list[int | None], believed: list[int], ours: list[int]
) -> None:
    assert handed_out(Believing, told, 1000) == believed  # used twice, or beyond what a meter can take
    assert handed_out(Counters, told, 1000) == ours
