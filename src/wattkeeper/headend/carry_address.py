"""Where the carrier is and how to prove oneself to it, from one setting.

    nats://127.0.0.1:4222                                             this machine only
    tls://NAME:PASSWORD@HOST:4222,OTHER_HOST:4222?ca=FILE
    tls://NAME@HOST:4222?password_file=FILE&ca=FILE&cert=FILE&key=FILE

On any address but loopback TLS and a name are required; ``insecure=true`` does without TLS, by name. TLS
begins before the first byte of the server's greeting, so that nobody on the way can talk the client out of
it: the server needs ``handshake_first``.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from wattkeeper.core.kernel.addresses import is_loopback
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.client_tls import TLS_OPTIONS, client_tls, read_options

_DEFAULT_PORT = "4222"
_OPTIONS = TLS_OPTIONS | {"password_file", "insecure"}


@dataclass(frozen=True, slots=True)
class CarrierAddress:
    """Servers of one cluster and what opens them."""

    servers: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """Return what the client library takes."""
        options: dict[str, Any] = {"servers": list(self.servers)}
        if self.user:
            options |= {"user": self.user, "password": self.password}
        if self.tls is not None:
            options |= {"tls": self.tls, "tls_handshake_first": True}
        return options


def parse_carrier(url: str) -> CarrierAddress:
    """
    Return the address that the setting names.

    :raises WattkeeperError: ``carry.url`` if it is none; ``carry.insecure`` without TLS and
        ``carry.no-credentials`` without a name or certificate, on an address others reach;
        ``carry.file-unreadable``
    """
    try:
        parts = urlsplit(url)
        options = read_options(parts.query, _OPTIONS)
    except ValueError:  # which may quote the password
        raise WattkeeperError("carry.url") from None
    userinfo, _, hosts_text = parts.netloc.rpartition("@")
    hosts = [host for host in hosts_text.split(",") if host]
    if parts.scheme not in ("nats", "tls") or parts.path.strip("/") or not hosts:
        raise WattkeeperError("carry.url")
    user, _, password = userinfo.partition(":")
    path = options.get("password_file")
    password = unquote(password) if path is None else _read(path).strip()
    is_exposed = not all(_is_loopback(host) for host in hosts)
    if is_exposed and parts.scheme != "tls" and "insecure" not in options:
        raise WattkeeperError("carry.insecure")
    if is_exposed and not (user and password) and "cert" not in options:
        raise WattkeeperError("carry.no-credentials")
    return CarrierAddress(
        servers=tuple(f"nats://{_with_port(host)}" for host in hosts),
        user=unquote(user),
        password=password,
        tls=_tls(options) if parts.scheme == "tls" else None,
    )


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        return client_tls(options)
    except OSError as error:
        path = options.get("cert", options.get("ca", ""))
        raise WattkeeperError(
            "carry.file-unreadable", path=path, reason=error.strerror or str(error)
        ) from error


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise WattkeeperError("carry.file-unreadable", path=path, reason=str(error.strerror)) from error


def _with_port(host: str) -> str:
    has_port = ":" in host.rpartition("]")[2]
    return host if has_port else f"{host}:{_DEFAULT_PORT}"


def _is_loopback(host: str) -> bool:
    return is_loopback(urlsplit(f"//{host}").hostname or "")
