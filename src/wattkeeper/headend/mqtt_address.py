"""Where a broker is and how to prove oneself to it, from the endpoint of a link.

    mqtt://127.0.0.1:1883                                       this machine only
    mqtts://NAME:PASSWORD@HOST:8883?ca=FILE&cert=FILE&key=FILE

On any address but loopback TLS is required; ``insecure=true`` does without it, by name. What goes wrong is
kept with the link as a code alone, so these carry no parameters, and no password either.
"""

import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from wattkeeper.core.kernel.addresses import is_loopback
from wattkeeper.headend.errors import LinkDown

_TLS_OPTIONS = frozenset({"ca", "cert", "key"})


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker and what opens it; `user` None where nobody gives a name."""

    host: str
    port: int
    user: str | None = None
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


def parse_broker(endpoint: str) -> BrokerAddress:
    """
    Return the broker that an endpoint names; without a scheme it is plain MQTT.

    :raises LinkDown: ``headend.broker-invalid`` if it names none; ``headend.broker-insecure`` without TLS on
        an address others reach; ``headend.broker-file-unreadable``
    """
    parts = urlsplit(endpoint if "://" in endpoint else f"mqtt://{endpoint}")
    try:
        port, pairs = (
            parts.port,
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)),
        )
    except ValueError as error:
        raise LinkDown("headend.broker-invalid") from error
    options = dict(pairs)
    is_tls = parts.scheme == "mqtts"
    known = _TLS_OPTIONS if is_tls else {"insecure"}
    is_known = parts.scheme in ("mqtt", "mqtts") and options.keys() <= known and not parts.path.strip("/")
    is_blurred = len(options) != len(pairs) or "" in options.values()
    if not is_known or is_blurred or not parts.hostname or port is None or parts.fragment:
        raise LinkDown("headend.broker-invalid")
    if options.get("insecure", "true") != "true" or ("key" in options and "cert" not in options):
        raise LinkDown("headend.broker-invalid")
    if not is_tls and not is_loopback(parts.hostname) and "insecure" not in options:
        raise LinkDown("headend.broker-insecure")
    return BrokerAddress(
        parts.hostname,
        port,
        None if parts.username is None else unquote(parts.username),
        unquote(parts.password or ""),
        _tls(options) if is_tls else None,
    )


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
    except OSError as error:
        raise LinkDown("headend.broker-file-unreadable") from error
    return context
