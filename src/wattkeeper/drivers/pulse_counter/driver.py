"""Pulse counters that publish dial positions as JSON. No socket, no clock, no log of its own."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from importlib.resources import files

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import (
    Answer,
    AnswerDamaged,
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
    Request,
    Split,
    Steps,
)
from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import (
    MESSAGE_MAX_BYTES,
    Ack,
    Counts,
    Get,
    History,
    Message,
    Row,
    Topic,
    decode_line,
    decode_topic,
    encode_line,
    split_line,
)


class PulseCounterDriver:
    """One counter."""

    capabilities = frozenset({Capability.PUSH, Capability.PROFILE})

    def __init__(self, config: DeviceConfig) -> None:
        try:
            topic = decode_topic(f"pulse/{config.address}/counts")
        except PulseError as error:
            raise WattkeeperError("pulse_counter.bad-address", address=config.address) from error
        if topic.serial != config.serial_number:
            raise WattkeeperError("drivers.wrong-device", expected=config.serial_number, found=topic.serial)
        self._site, self._serial = topic.site, topic.serial

    def split(self, buffer: bytes) -> Split:
        """Return the first line of `buffer` that is a message; others are skipped and counted."""
        try:
            line, used_bytes = split_line(buffer)
        except PulseError as error:
            end = buffer.find(b"\n")
            return Split(None, end + 1 if end >= 0 else MESSAGE_MAX_BYTES, error.code)
        if line is None:
            return Split(None, 0)
        try:
            decode_line(line)
        except PulseError as error:
            return Split(None, used_bytes, error.code)
        return Split(bytes(buffer[:used_bytes]), used_bytes)

    def open(self) -> Steps[None]:
        """Nothing: every message names its counter."""
        yield from ()

    def close(self) -> Steps[None]:
        """Nothing: counters have no sessions."""
        yield from ()

    def read_live(self) -> Steps[list[DeviceRead]]:
        """Return nothing: a counter speaks when it has counted."""
        yield from ()
        return []

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read the positions kept with from_s <= stamp < to_s; what the counter lacks is left out."""
        reads: list[DeviceRead] = []
        while from_s < to_s:
            answer: Answer = yield self._get(from_s, to_s)
            message = self._message(answer.frame)
            if not isinstance(message, History) or not self._answers(answer.frame, from_s, to_s):
                raise AnswerDamaged("pulse.bad-answer", is_permanent=False)
            reads += _reads(message.rows, Source.PROFILE, answer.frame_index)
            from_s = message.to_s
        return reads

    def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Return nothing: counters freeze nothing."""
        del from_s, to_s
        yield from ()
        return []

    def read_clock(self) -> Steps[int]:
        """Refuse: a counter does not tell its clock."""
        yield from ()
        raise DeviceRefused("pulse_counter.no-clock")

    def set_clock(self, now_s: int) -> Steps[None]:
        """Refuse: a counter's clock is set by its gateway."""
        del now_s
        yield from ()
        raise DeviceRefused("pulse_counter.no-clock")

    def read_relay(self) -> Steps[RelayState]:
        """Refuse: there is no relay."""
        yield from ()
        raise DeviceRefused("pulse_counter.no-relay")

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        """Refuse: there is no relay."""
        del command
        yield from ()
        raise DeviceRefused("pulse_counter.no-relay")

    def on_push(self, payload: bytes, frame_index: int) -> list[DeviceRead]:
        """
        Return the positions in a line that the counter sent by itself.

        :raises AnswerDamaged: if it is no message of a counter
        :raises WattkeeperError: ``drivers.wrong-device`` if another counter sent it
        """
        message = self._message(payload)
        if isinstance(message, Counts):
            return _reads(message.rows, Source.PUSH, frame_index)
        if isinstance(message, History):
            return _reads(message.rows, Source.PROFILE, frame_index)
        raise AnswerDamaged("pulse.unexpected", verb=type(message).__name__.lower())

    def acknowledgement(self, payload: bytes) -> bytes | None:
        """Return the line that lets the counter forget `payload`, or None if it waits for none."""
        message = self._message(payload)
        return encode_line(self._topic("ack"), Ack(message.sequence)) if isinstance(message, Counts) else None

    def _get(self, from_s: int, to_s: int) -> Request:
        frame = encode_line(self._topic("get"), Get(from_s, to_s))
        return Request(frame, lambda line: self._answers(line, from_s, to_s))

    def _answers(self, line: bytes, from_s: int, to_s: int) -> bool:
        try:
            message = self._message(line)
        except WattkeeperError:
            return False
        return isinstance(message, History) and message.from_s == from_s and from_s < message.to_s <= to_s

    def _message(self, line: bytes) -> Message:
        with _damage_named():
            topic, message = decode_line(line)
        if (topic.site, topic.serial) != (self._site, self._serial):
            raise WattkeeperError("drivers.wrong-device", expected=self._serial, found=topic.serial)
        return message

    def _topic(self, verb: str) -> Topic:
        return Topic(self._site, self._serial, verb)


def make_driver(config: DeviceConfig) -> PulseCounterDriver:
    """
    Return the driver of a counter.

    :raises WattkeeperError: ``pulse_counter.bad-address``, ``drivers.wrong-device``
    """
    return PulseCounterDriver(config)


@cache
def _reading_type() -> str:
    text = files(__package__).joinpath("registers.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["counts"]["reading_type"])


def _reads(rows: tuple[Row, ...], source: Source, frame_index: int) -> list[DeviceRead]:
    return [
        DeviceRead(_reading_type(), Decimal(count), stamp_s, source, frame_index) for stamp_s, count in rows
    ]


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except PulseError as error:
        raise AnswerDamaged(error.code, is_permanent=False, **error.params) from error
