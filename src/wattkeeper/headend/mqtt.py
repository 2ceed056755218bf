"""A wire over MQTT: topics and payloads become lines; the broker is acknowledged after the spool."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from gmqtt import Client
from gmqtt.mqtt.handler import MQTTConnectError

from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.mqtt_address import parse_broker
from wattkeeper.headend.push import Outcome
from wattkeeper.headend.tcp import BUFFER_MAX_BYTES, Connect, Wire
from wattkeeper.protocols.pulse.errors import PulseError
from wattkeeper.protocols.pulse.messages import (
    decode_line,
    decode_message,
    decode_topic,
    encode_line,
    encode_message,
)

_CONNECT_TIMEOUT_S = 5.0
_SESSION_EXPIRY_S = 7 * 86_400
_SUBSCRIPTIONS = ("pulse/+/+/counts", "pulse/+/+/history")
_NO_RECONNECTS = -2  # 0 would allow one, -1 any number: the link's back-off reconnects, with a new wire
_RETRY_REAL_S = 1.0
_SUCCESS_CODE = 0
_REFUSED_CODE = 153  # payload format invalid (MQTT 5, 3.4.2.1): sending it again cannot help
OnPush = Callable[[bytes], Awaitable[Outcome]]


class MqttWire:
    """One connection to a broker. PUBACK leaves when `on_push` has made a frame durable, not otherwise."""

    def __init__(self, client_id: str, on_push: OnPush) -> None:
        self.buffer = bytearray()
        self.overflow_bytes = 0
        self._on_push = on_push
        self._arrived = asyncio.Event()
        self._closed = asyncio.Event()
        self._is_open = False
        self._client = Client(
            client_id,
            clean_session=False,
            optimistic_acknowledgement=False,
            session_expiry_interval=_SESSION_EXPIRY_S,
        )
        self._client.set_config({"reconnect_retries": _NO_RECONNECTS})
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    @property
    def is_open(self) -> bool:
        """Whether messages can still come and go."""
        return self._is_open

    async def connect(self, endpoint: str) -> None:
        """
        Connect and subscribe.

        :raises LinkDown: if the broker does not answer, refuses or does not prove its name
        """
        broker = parse_broker(endpoint)
        host, port = broker.host, broker.port
        if broker.user is not None:
            self._client.set_auth_credentials(broker.user, broker.password)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._client.connect(host, port, ssl=broker.tls or False)
        except ssl.SSLCertVerificationError as error:
            raise LinkDown("headend.broker-certificate", is_permanent=False) from error
        except (OSError, TimeoutError, MQTTConnectError) as error:
            raise LinkDown("headend.link-refused", is_permanent=False, endpoint=f"{host}:{port}") from error
        self._is_open = True
        for topic in _SUBSCRIPTIONS:
            self._client.subscribe(topic, qos=1)

    def send(self, frame: bytes) -> None:
        """
        Publish a line on its topic, at most once: a lost acknowledgement or request is sent again anyway.

        :raises LinkDown: if the connection is gone
        """
        if not self._is_open:
            raise LinkDown("headend.link-lost", is_permanent=False)
        topic, message = decode_line(frame)
        self._client.publish(str(topic), encode_message(message), qos=0)

    async def wait(self) -> None:
        """Return once a line has come. Raises LinkDown if the connection is gone."""
        self._arrived.clear()
        if self._is_open:
            await self._arrived.wait()
        if not self._is_open:
            raise LinkDown("headend.link-lost", is_permanent=False)

    def close(self) -> None:
        """Let go of the connection."""
        if self._is_open:
            self._is_open = False
            self._closing = asyncio.ensure_future(self._disconnect())
        self._arrived.set()

    async def _disconnect(self) -> None:
        try:
            with suppress(OSError):  # over TLS the broker's last words may come after its good-bye
                await self._client.disconnect()
        finally:
            self._closed.set()

    async def _on_message(self, _client: Any, topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        """Return the reason code of the PUBACK: not before the frame is kept or refused."""
        try:
            parts = decode_topic(topic)
            line = encode_line(parts, decode_message(parts, payload))
        except PulseError:
            await self._on_push(b"")
            return _REFUSED_CODE
        if parts.verb == "counts":
            return await self._keep(line)
        if len(self.buffer) + len(line) <= BUFFER_MAX_BYTES:
            self.buffer += line
            self._arrived.set()
        else:
            self.overflow_bytes += len(line)
        return _SUCCESS_CODE

    async def _keep(self, line: bytes) -> int:
        """Hand a line over until it is kept or refused; on a connection that is gone nothing can leave."""
        while (outcome := await self._on_push(line)) is Outcome.LATER:
            await asyncio.sleep(_RETRY_REAL_S)
            if not self._is_open:
                await self._closed.wait()
                break
        return _SUCCESS_CODE if outcome is Outcome.KEPT else _REFUSED_CODE

    def _on_disconnect(self, _client: Any, _packet: Any, _error: Any = None) -> None:
        self._is_open = False
        self._closed.set()
        self._arrived.set()


def dial_mqtt(endpoint: str, client_id: str, on_push: OnPush) -> Connect:
    """Return what connects to a broker at ``mqtts://[user:password@]host:port``; see `mqtt_address`."""

    async def connect() -> Wire:
        wire = MqttWire(client_id, on_push)
        await wire.connect(endpoint)
        return wire

    return connect
