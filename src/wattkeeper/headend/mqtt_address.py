"""Where a broker is and how to prove oneself to it, from the endpoint of a link.

    mqtt://127.0.0.1:1883                                       this machine only
    mqtts://NAME:PASSWORD@HOST:8883?ca=FILE&cert=FILE&key=FILE

On any address but loopback TLS is required; ``insecure=true`` does without it, by name. What goes wrong is
kept with the link as a code alone, so these carry no parameters, and no password either.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from wattkeeper.core.kernel.addresses import is_loopback
from wattkeeper.headend.client_tls import TLS_OPTIONS, client_tls, read_options
from wattkeeper.headend.errors import LinkDown

_KNOWN = {"mqtt": frozenset({"insecure"}), "mqtts": TLS_OPTIONS}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker and what opens it; `user` None where nobody gives a name."""

    host: str
    port: int
    user: str | None = None
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def check_broker(endpoint: str) -> None:
    """
    Refuse an endpoint that no broker may be reached by; its files are the head-end's and not looked at.

    :raises LinkDown: ``headend.broker-invalid`` if it names none; ``headend.broker-insecure`` without TLS on
        an address others reach
    """
    _read(endpoint)


def parse_broker(endpoint: str) -> BrokerAddress:
    """
    Return the broker that an endpoint names; without a scheme it is plain MQTT.

    :raises LinkDown: as `check_broker`; ``headend.broker-file-unreadable``
    """
    parts, port, options = _read(endpoint)
    try:
        tls = client_tls(options) if parts.scheme == "mqtts" else None
    except OSError as error:
        raise LinkDown("headend.broker-file-unreadable") from error
    return BrokerAddress(
        parts.hostname or "",
        port,
        None if parts.username is None else unquote(parts.username),
        unquote(parts.password or ""),
        tls,
    )


def _read(endpoint: str) -> tuple[SplitResult, int, dict[str, str]]:
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"mqtt://{endpoint}")
        options = read_options(parts.query, _KNOWN.get(parts.scheme, frozenset()))
        host, port = parts.hostname, parts.port
        if parts.scheme not in _KNOWN or not host or port is None or parts.path.strip("/") or parts.fragment:
            raise ValueError("address")
    except ValueError:  # which may quote the password
        raise LinkDown("headend.broker-invalid") from None
    if parts.scheme == "mqtt" and not is_loopback(host) and "insecure" not in options:
        raise LinkDown("headend.broker-insecure")
    return parts, port, options
