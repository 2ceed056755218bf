"""Sends what pulse counters have to say: over MQTT through a broker, or to whoever is on the TCP gateway."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import gmqtt
from gmqtt.storage import PersistentStorage

from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import (
    Message,
    Topic,
    decode_message,
    decode_topic,
    encode_line,
    encode_message,
)
from wattkeeper.simulators.line import Line
from wattkeeper.simulators.pulse_counters import PulseCounter

SETTLE_TIMEOUT_S = 5.0
KEEPALIVE_S = 20
IN_FLIGHT_MAX = 10  # brokers allow at least this many unacknowledged messages
_QOS = 1


class Publisher(Protocol):
    """Where messages of pulse counters go."""

    async def send(self, messages: Iterable[tuple[Topic, Message]]) -> None:
        """Send, and return when the next hop has everything."""
        ...


class GatewayPublisher:
    """Pushes to every connection of the TCP gateway; without one the counters keep what they have."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def send(self, messages: Iterable[tuple[Topic, Message]]) -> None:
        """Write each message to the connections."""
        for topic, message in messages:
            self._line.push(encode_line(topic, message))


class MqttPublisher:
    """Publishes with QoS 1, and answers what comes in on the counters' topics."""

    def __init__(self, counters: dict[str, PulseCounter], now_s: Callable[[], int], *, seed: int) -> None:
        self._counters = counters
        self._now_s = now_s
        self._storage = PersistentStorage()
        self._client = gmqtt.Client(f"wattkeeper-simulators-{seed}", persistent_storage=self._storage)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    async def start(self, host: str, port: int) -> None:
        """Connect; afterwards the connection is renewed whenever it breaks."""
        self._client.set_config({"reconnect_retries": -1, "reconnect_delay": 1})
        await self._client.connect(host, port, keepalive=KEEPALIVE_S)

    async def stop(self) -> None:
        """Disconnect."""
        if self._client.is_connected:
            await self._client.disconnect()

    async def send(self, messages: Iterable[tuple[Topic, Message]]) -> None:
        """Publish, and wait a moment for the broker's acknowledgements."""
        if not self._client.is_connected:
            return
        waiting = list(messages)
        while waiting:
            now, waiting = waiting[:IN_FLIGHT_MAX], waiting[IN_FLIGHT_MAX:]
            for topic, message in now:
                self._client.publish(str(topic), encode_message(message), qos=_QOS)
            try:
                await asyncio.wait_for(self._storage.wait_empty(), SETTLE_TIMEOUT_S)
            except (TimeoutError, OverflowError):
                return  # what nobody acknowledged is sent again later

    def _on_connect(self, client: Any, *_args: Any) -> None:
        for verb in ("ack", "get"):
            client.subscribe(f"pulse/+/+/{verb}", qos=_QOS)

    def _on_message(self, client: Any, topic_text: str, payload: bytes, *_args: Any) -> int:
        try:
            topic = decode_topic(topic_text)
            message = decode_message(topic, payload)
            counter = self._counters.get(topic.serial)
            answers = counter.receive(message, self._now_s()) if counter else []
            for answer_topic, answer in answers:
                client.publish(str(answer_topic), encode_message(answer), qos=_QOS)
        except PulseError:
            return 0
        return 0
