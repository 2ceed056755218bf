"""The endpoint of a link whose devices connect to us, and who may speak for it.

``listen://host:port?from=10.1.2.3,10.2.0.0/16&token=TEXT``: `host:port` is our own address, on which many
links may wait. `from` binds the link to addresses its devices come from (a private mobile network gives each
card its own), `token` to a registration packet that the device sends first (``token=hex:0102…`` where it is
not text). A link with neither is believed only if its devices prove a key: a serial number is no secret.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import parse_qsl, urlsplit

from wattkeeper.headend.errors import LinkDown

SCHEME = "listen"
TOKEN_MIN_BYTES = 8
TOKEN_MAX_BYTES = 128


@dataclass(frozen=True, slots=True)
class DialIn:
    """Where a link's devices knock, and by what they are known there."""

    host: str
    port: int
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    token: bytes = b""

    @property
    def is_bound(self) -> bool:
        """Whether something other than a serial number tells the link's own devices from others."""
        return bool(self.networks or self.token)

    def admits(self, peer: str) -> bool:
        """Whether a device may come from this address."""
        if not self.networks:
            return True
        address = plain_address(peer)
        return any(address.version == network.version and address in network for network in self.networks)


def parse_dial_in(endpoint: str) -> DialIn:
    """
    Return what a link's endpoint says.

    :raises LinkDown: ``headend.listen-endpoint-invalid`` if it is none, or its binding cannot be understood
    """
    try:
        parts = urlsplit(endpoint)
        binding = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        token = _token(binding.pop("token", ""))
        networks = tuple(ip_network(text.strip()) for text in _split(binding.pop("from", "")))
        if parts.scheme != SCHEME or not parts.hostname or not parts.port or binding:
            raise ValueError("address")
    except ValueError:  # which may quote the packet
        raise LinkDown("headend.listen-endpoint-invalid") from None
    return DialIn(parts.hostname, parts.port, networks, token)


def _split(text: str) -> list[str]:
    return text.split(",") if text else []


def _token(text: str) -> bytes:
    token = bytes.fromhex(text.removeprefix("hex:")) if text.startswith("hex:") else text.encode()
    if text and not TOKEN_MIN_BYTES <= len(token) <= TOKEN_MAX_BYTES:
        raise ValueError("a registration packet this short can be guessed")
    return token


def plain_address(peer: str) -> IPv4Address | IPv6Address:
    """An IPv4 address that came over an IPv6 socket is an IPv4 address."""
    address = ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
