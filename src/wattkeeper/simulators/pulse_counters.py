"""Pulse counters: a count at each quarter hour, kept until acknowledged, and a memory that can be asked."""

from collections import OrderedDict

from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import (
    Ack,
    Counts,
    Get,
    History,
    Message,
    Topic,
    decode_line,
    encode_line,
    split_line,
)
from wattkeeper.simulators.plant import Meter

Sent = tuple[Topic, Message]

HISTORY_ROWS_MAX = 2000
UNACKNOWLEDGED_MAX = 7 * 96
RESEND_S = 3600
RESEND_MAX = 96


class PulseCounter:
    """One counter. Messages it sends are numbered from 1."""

    def __init__(self, meter: Meter, started_s: int) -> None:
        self.meter = meter
        self._sequence = 0
        self._sent_until_s = meter.registers.clock_s(started_s)
        self._waiting: OrderedDict[int, tuple[int, Counts]] = OrderedDict()

    @property
    def serial(self) -> str:
        """Its serial number."""
        return self.meter.entry.meter_serial

    def topic(self, verb: str) -> Topic:
        """Return the topic of its messages of one kind."""
        return Topic(self.meter.entry.site, self.serial, verb)

    def due(self, now_s: int) -> list[Sent]:
        """Return what is to be sent by now: new counts, and old ones that nobody acknowledged."""
        if not self.meter.answers(now_s):
            return []
        clock_s = self.meter.registers.clock_s(now_s)
        rows = self.meter.registers.profile(self._sent_until_s + 1, clock_s + 1, now_s)
        self._sent_until_s = max(clock_s, self._sent_until_s)
        again: list[Sent] = self._unacknowledged(clock_s - RESEND_S, clock_s)
        for row in rows:
            self._sequence += 1
            message = Counts(self.serial, self._sequence, (row,))
            self._waiting[self._sequence] = (clock_s, message)
            again.append((self.topic("counts"), message))
        while len(self._waiting) > UNACKNOWLEDGED_MAX:
            self._waiting.popitem(last=False)
        return again

    def _unacknowledged(self, before_s: int, now_s: int) -> list[Sent]:
        old = [seq for seq, (sent_s, _) in self._waiting.items() if sent_s <= before_s][:RESEND_MAX]
        for sequence in old:
            self._waiting[sequence] = (now_s, self._waiting[sequence][1])
        messages: list[Sent] = []
        messages += [(self.topic("counts"), self._waiting[sequence][1]) for sequence in old]
        return messages

    def waiting(self) -> list[Sent]:
        """Return everything not acknowledged, for a head-end that has just come."""
        topic = self.topic("counts")
        sent: list[Sent] = [(topic, message) for _, message in self._waiting.values()]
        return sent[-RESEND_MAX:]

    def receive(self, message: Message, now_s: int) -> list[Sent]:
        """Return the answer to a message of the head-end."""
        if not self.meter.answers(now_s):
            return []
        self.meter.requests_count += 1
        if isinstance(message, Ack):
            for sequence in [seq for seq in self._waiting if seq <= message.sequence]:
                del self._waiting[sequence]
        if isinstance(message, Get):
            rows = self.meter.registers.profile(message.from_s, message.to_s, now_s)
            to_s = message.to_s if len(rows) <= HISTORY_ROWS_MAX else rows[HISTORY_ROWS_MAX][0]
            history = History(self.serial, message.from_s, to_s, tuple(rows[:HISTORY_ROWS_MAX]))
            return [(self.topic("history"), history)]
        return []


class PulseGateway:
    """One TCP connection to the gateway that all counters share."""

    def __init__(self, counters: dict[str, PulseCounter]) -> None:
        self._counters = counters
        self._buffer = b""
        self._is_new = True

    def feed(self, received: bytes, now_s: int) -> list[bytes]:
        """Return the lines to send."""
        self._buffer += received
        lines: list[bytes] = []
        if self._is_new:
            self._is_new = False
            lines += [encode_line(*sent) for counter in self._counters.values() for sent in counter.waiting()]
        while True:
            try:
                line, used_bytes = split_line(self._buffer)
            except PulseError:
                self._buffer = b""
                return lines
            if line is None:
                return lines
            self._buffer = self._buffer[used_bytes:]
            lines += self._answer(line, now_s)

    def _answer(self, line: bytes, now_s: int) -> list[bytes]:
        try:
            topic, message = decode_line(line)
            counter = self._counters.get(topic.serial)
            return [encode_line(*sent) for sent in counter.receive(message, now_s)] if counter else []
        except PulseError:
            return []
