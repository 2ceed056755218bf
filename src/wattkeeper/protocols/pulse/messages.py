"""Messages of a pulse counter: counts it sends, history it is asked for, the acknowledgement it waits for.

Over MQTT the topic is ``pulse/<site>/<serial>/<verb>`` and the payload one JSON object; over TCP the same
object travels on one line with the topic in ``"topic"``. Verbs and objects:

- ``counts`` (counter): ``{"serial": "P1", "seq": 7, "counts": [[epoch_s, count], ...]}``: dial positions
- ``ack`` (head-end): ``{"seq": 7}``: everything up to this sequence is on disk; the counter may forget it
- ``get`` (head-end): ``{"from": epoch_s, "to": epoch_s}``: from <= stamp < to
- ``history`` (counter): like ``counts``, with ``from`` and ``to``; ``seq`` 0. A counter whose answer would be
  too large answers the first part of the span and says so by an earlier ``to``; the head-end asks on.

Only whole numbers, no key twice, no unknown key, at most 64 KiB and 10 000 counts: anything else is refused
whole.
"""

import json
from dataclasses import dataclass
from typing import NoReturn

from wattkeeper.protocols.pulse.errors import PulseError

MESSAGE_MAX_BYTES = 64 * 1024
COUNTS_MAX = 10_000
COUNT_MAX = 2**53 - 1
EPOCH_MAX_S = 253_402_300_799  # 9999-12-31T23:59:59Z
NAME_MAX_CHARS = 64

Row = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Topic:
    """Where a message belongs; `verb` is counts, ack, get or history."""

    site: str
    serial: str
    verb: str

    def __str__(self) -> str:
        return f"pulse/{self.site}/{self.serial}/{self.verb}"


@dataclass(frozen=True, slots=True)
class Counts:
    """Dial positions (epoch_s, pulses since made), oldest first; `sequence` rises by one a message."""

    serial: str
    sequence: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `sequence` is durable."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Get:
    """Ask for the positions kept with from_s <= stamp < to_s."""

    from_s: int
    to_s: int


@dataclass(frozen=True, slots=True)
class History:
    """The positions kept in the span asked for; none for what the counter no longer has."""

    serial: str
    from_s: int
    to_s: int
    rows: tuple[Row, ...]


Message = Counts | Ack | Get | History


def decode_topic(text: str) -> Topic:
    """
    Return the parts of a topic.

    :raises PulseError: if it is not ``pulse/<site>/<serial>/<verb>``
    """
    parts = text.split("/")
    if len(parts) != 4 or parts[0] != "pulse" or parts[3] not in _KEYS:
        raise PulseError("pulse.bad-topic", topic=text[:200])
    return Topic(_name(parts[1], "site"), _name(parts[2], "serial"), parts[3])


def decode_message(topic: Topic, payload: bytes) -> Message:
    """
    Return the message of an MQTT payload.

    :raises PulseError: if it is anything but what its topic says
    """
    return _read(topic, _load(payload))


def decode_line(line: bytes) -> tuple[Topic, Message]:
    """
    Return the topic and message of one line of the TCP gateway, with or without its line end.

    :raises PulseError: if it is no message
    """
    fields = _load(line)
    text = fields.pop("topic", None)
    if not isinstance(text, str):
        raise PulseError("pulse.bad-topic", topic=None)
    topic = decode_topic(text)
    return topic, _read(topic, fields)


def encode_message(message: Message) -> bytes:
    """
    Return the MQTT payload of a message.

    :raises PulseError: if it is larger than a receiver takes
    """
    return _dump(_write(message))


def encode_line(topic: Topic, message: Message) -> bytes:
    """
    Return one line for the TCP gateway, with its line end.

    :raises PulseError: if it is larger than a receiver takes
    """
    return _dump({"topic": str(topic), **_write(message)}) + b"\n"


def split_line(buffer: bytes) -> tuple[bytes | None, int]:
    """
    Return the first whole line of `buffer` and the bytes used; (None, 0) asks for more.

    :raises PulseError: if the line is longer than a message may be
    """
    end = buffer.find(b"\n", 0, MESSAGE_MAX_BYTES + 1)
    if end < 0 and len(buffer) > MESSAGE_MAX_BYTES:
        raise PulseError("pulse.too-long", bytes=len(buffer))
    return (None, 0) if end < 0 else (buffer[:end], end + 1)


_KEYS = {
    "counts": {"serial", "seq", "counts"},
    "ack": {"seq"},
    "get": {"from", "to"},
    "history": {"serial", "seq", "from", "to", "counts"},
}


def _load(payload: bytes) -> dict[str, object]:
    if len(payload) > MESSAGE_MAX_BYTES:
        raise PulseError("pulse.too-long", bytes=len(payload))
    try:
        fields = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_refuse,
            parse_constant=_refuse,
            parse_int=_parse_int,
        )
    except PulseError:
        raise
    except (ValueError, RecursionError) as error:
        raise PulseError("pulse.not-json") from error
    if not isinstance(fields, dict):
        raise PulseError("pulse.not-an-object")
    return fields


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise PulseError("pulse.key-twice")
    return fields


def _refuse(text: str) -> NoReturn:
    raise PulseError("pulse.not-whole", number=text[:40])


def _parse_int(text: str) -> int:
    if len(text) > 20:
        raise PulseError("pulse.out-of-range", number=text[:40])
    return int(text)


def _read(topic: Topic, fields: dict[str, object]) -> Message:
    if fields.keys() != _KEYS[topic.verb]:
        raise PulseError("pulse.bad-keys", verb=topic.verb, keys=",".join(sorted(fields))[:200])
    if topic.verb == "ack":
        return Ack(_int(fields["seq"], COUNT_MAX))
    if topic.verb == "get":
        return Get(*_span(fields))
    serial = fields["serial"]
    if serial != topic.serial:
        raise PulseError("pulse.other-serial", serial=str(serial)[:NAME_MAX_CHARS], topic=str(topic))
    rows = _rows(fields["counts"])
    sequence = _int(fields["seq"], COUNT_MAX)
    if topic.verb == "counts":
        return Counts(topic.serial, sequence, rows)
    from_s, to_s = _span(fields)
    if any(not from_s <= row[0] < to_s for row in rows):
        raise PulseError("pulse.outside-span", from_s=from_s, to_s=to_s)
    return History(topic.serial, from_s, to_s, rows)


def _span(fields: dict[str, object]) -> tuple[int, int]:
    from_s, to_s = _int(fields["from"], EPOCH_MAX_S), _int(fields["to"], EPOCH_MAX_S)
    if from_s > to_s:
        raise PulseError("pulse.bad-span", from_s=from_s, to_s=to_s)
    return from_s, to_s


def _rows(value: object) -> tuple[Row, ...]:
    if not isinstance(value, list) or len(value) > COUNTS_MAX:
        raise PulseError("pulse.bad-counts")
    rows: list[Row] = []
    for item in value:
        if not isinstance(item, list) or len(item) != 2:
            raise PulseError("pulse.bad-counts")
        rows.append((_int(item[0], EPOCH_MAX_S), _int(item[1], COUNT_MAX)))
    return tuple(rows)


def _int(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PulseError("pulse.not-whole", number=str(value)[:40])
    if not 0 <= value <= most:
        raise PulseError("pulse.out-of-range", number=str(value))
    return value


def _name(text: str, part: str) -> str:
    if not text or len(text) > NAME_MAX_CHARS or not text.isprintable() or set(text) & set("+# \"'\\"):
        raise PulseError("pulse.bad-name", part=part)
    return text


def _write(message: Message) -> dict[str, object]:
    match message:
        case Counts(serial, sequence, rows):
            return {"serial": serial, "seq": sequence, "counts": rows}
        case Ack(sequence):
            return {"seq": sequence}
        case Get(from_s, to_s):
            return {"from": from_s, "to": to_s}
        case History(serial, from_s, to_s, rows):
            return {"serial": serial, "seq": 0, "from": from_s, "to": to_s, "counts": rows}


def _dump(fields: dict[str, object]) -> bytes:
    payload = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    if len(payload) > MESSAGE_MAX_BYTES:
        raise PulseError("pulse.too-long", bytes=len(payload))
    return payload
