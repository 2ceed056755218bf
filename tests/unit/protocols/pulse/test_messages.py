import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import (
    COUNT_MAX,
    EPOCH_MAX_S,
    Ack,
    Counts,
    Get,
    History,
    Topic,
    decode_line,
    decode_message,
    decode_topic,
    encode_line,
    encode_message,
    split_line,
)

MESSAGE_MAX_BYTES = 65_536  # what is promised, whatever the code says
names = st.text("abcXYZ019.-_楼", min_size=1, max_size=20)
rows = st.lists(st.tuples(st.integers(0, EPOCH_MAX_S), st.integers(0, COUNT_MAX)), max_size=20).map(tuple)
sequences = st.integers(0, COUNT_MAX)


@st.composite
def messages(draw):
    topic = Topic(draw(names), draw(names), draw(st.sampled_from(["counts", "ack", "get", "history"])))
    if topic.verb == "counts":
        return topic, Counts(topic.serial, draw(sequences), draw(rows))
    if topic.verb == "ack":
        return topic, Ack(draw(sequences))
    from_s = draw(st.integers(0, EPOCH_MAX_S - 1))
    to_s = draw(st.integers(from_s + 1, EPOCH_MAX_S))
    if topic.verb == "get":
        return topic, Get(from_s, to_s)
    inside = st.tuples(st.integers(from_s, to_s - 1), st.integers(0, COUNT_MAX))
    return topic, History(topic.serial, from_s, to_s, tuple(draw(st.lists(inside, max_size=5))))


def error_code(decode, octets):
    try:
        decode(octets)
    except PulseError as error:
        return error.code
    return "pulse.none"


@given(messages())
def test_round_trip(pair):
    topic, message = pair
    assert decode_topic(str(topic)) == topic
    assert decode_message(topic, encode_message(message)) == message
    line = encode_line(topic, message)
    assert split_line(line + b"rest") == (line[:-1], len(line))
    assert decode_line(line) == pair


def test_golden():
    topic = Topic("tower", "P1", "counts")
    payload = b'{"serial":"P1","seq":7,"counts":[[1763769600,1600],[1763770500,1612]]}'
    message = Counts("P1", 7, ((1763769600, 1600), (1763770500, 1612)))
    assert decode_message(topic, payload) == message
    assert encode_message(message) == payload
    assert encode_line(Topic("tower", "P1", "ack"), Ack(7)) == b'{"topic":"pulse/tower/P1/ack","seq":7}\n'


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "pulse.not-json"),
        (b"\xff", "pulse.not-json"),
        (b"[]", "pulse.not-an-object"),
        (b"[" * 60_000, "pulse.not-json"),
        (b'{"serial":"P1","seq":1.5,"counts":[]}', "pulse.not-whole"),
        (b'{"serial":"P1","seq":1e3,"counts":[]}', "pulse.not-whole"),
        (b'{"serial":"P1","seq":NaN,"counts":[]}', "pulse.not-whole"),
        (b'{"serial":"P1","seq":true,"counts":[]}', "pulse.not-whole"),
        (b'{"serial":"P1","seq":-1,"counts":[]}', "pulse.out-of-range"),
        (b'{"serial":"P1","seq":' + b"9" * 5000 + b',"counts":[]}', "pulse.out-of-range"),
        (b'{"serial":"P1","seq":1,"seq":2,"counts":[]}', "pulse.key-twice"),
        (b'{"serial":"P1","seq":1,"counts":[],"more":1}', "pulse.bad-keys"),
        (b'{"serial":"P1","counts":[]}', "pulse.bad-keys"),
        (b'{"serial":"P2","seq":1,"counts":[]}', "pulse.other-serial"),
        (b'{"serial":"P1","seq":1,"counts":[[1]]}', "pulse.bad-counts"),
        (b'{"serial":"P1","seq":1,"counts":[[1,2.0]]}', "pulse.not-whole"),
        (b'{"serial":"P1","seq":1,"counts":[[1,"2"]]}', "pulse.not-whole"),
        (b'{"serial":"P1","seq":1,"counts":{}}', "pulse.bad-counts"),
        (b" " * (MESSAGE_MAX_BYTES + 1), "pulse.too-long"),
    ],
)
def test_what_is_no_message_is_refused_whole(payload, code):
    with pytest.raises(PulseError) as caught:
        decode_message(Topic("s", "P1", "counts"), payload)
    assert caught.value.code == code


def test_too_many_counts_are_refused():
    payload = json.dumps({"serial": "P1", "seq": 1, "counts": [[1, 2]] * 10_001}, separators=(",", ":"))
    with pytest.raises(PulseError) as caught:
        decode_message(Topic("s", "P1", "counts"), payload.encode())
    assert caught.value.code in ("pulse.bad-counts", "pulse.too-long")


@pytest.mark.parametrize("payload", [b'{"from":5,"to":4}', b'{"from":5}'])
def test_a_bad_span_is_refused(payload):
    with pytest.raises(PulseError):
        decode_message(Topic("s", "P1", "get"), payload)


def test_history_outside_its_span_is_refused():
    payload = b'{"serial":"P1","seq":0,"from":10,"to":20,"counts":[[20,1]]}'
    with pytest.raises(PulseError) as caught:
        decode_message(Topic("s", "P1", "history"), payload)
    assert caught.value.code == "pulse.outside-span"


@pytest.mark.parametrize(
    "topic",
    ["", "pulse/a/b", "pulse//b/counts", "pulse/a/b/c", "x/a/b/counts", "pulse/a/#/get", "pulse/+/b/ack"],
)
def test_bad_topics_are_refused(topic):
    with pytest.raises(PulseError):
        decode_topic(topic)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_else(octets):
    for decode in (decode_line, lambda b: decode_message(Topic("s", "P1", "counts"), b)):
        assert error_code(decode, octets).startswith("pulse.")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["topic", "serial", "seq", "counts", "from", "to"]) | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["counts", "ack", "get", "history"]))
def test_any_json_raises_nothing_else(value, verb):
    payload = json.dumps(value).encode()
    for decode in (decode_line, lambda b: decode_message(Topic("s", "P1", verb), b)):
        assert error_code(decode, payload).startswith("pulse.")


def test_a_line_that_never_ends_is_refused():
    assert split_line(b"x" * MESSAGE_MAX_BYTES) == (None, 0)
    with pytest.raises(PulseError):
        split_line(b"x" * (MESSAGE_MAX_BYTES + 1))
