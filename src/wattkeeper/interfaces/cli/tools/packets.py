"""What a captured IP packet carries (RFC 791, 8200, 9293, 768): dumps of packets hold their headers too."""

_ETHERNET_BYTES = 14
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TCP, _UDP = 6, 17


def payload(packet: bytes) -> bytes | None:
    """Return what TCP or UDP carries in an Ethernet frame or a bare IPv4 packet, None if it is neither."""
    kind = packet[12:14]
    if kind == _IPV4:
        return _of_ipv4(packet[_ETHERNET_BYTES:])
    if kind == _IPV6:
        return _of_ipv6(packet[_ETHERNET_BYTES:])
    return _of_ipv4(packet)


def _of_ipv4(packet: bytes) -> bytes | None:
    header_bytes = 4 * (packet[0] & 0x0F) if packet[:1] and packet[0] >> 4 == 4 else 0
    total_bytes = int.from_bytes(packet[2:4], "big")
    if not 20 <= header_bytes <= total_bytes <= len(packet) or not _is_sound(packet[:header_bytes]):
        return None
    return _of_transport(packet[9], packet[header_bytes:total_bytes])


def _is_sound(header: bytes) -> bool:
    """Whether the check sum fits, or was left to the network card."""
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    return header[10:12] == b"\0\0" or total % 0xFFFF == 0


def _of_ipv6(packet: bytes) -> bytes | None:
    length_bytes = int.from_bytes(packet[4:6], "big")
    if len(packet) < 40 + length_bytes or packet[0] >> 4 != 6:
        return None
    return _of_transport(packet[6], packet[40 : 40 + length_bytes])


def _of_transport(kind: int, segment: bytes) -> bytes | None:
    if kind == _TCP and len(segment) >= 20:
        header_bytes = 4 * (segment[12] >> 4)
        return segment[header_bytes:] if header_bytes >= 20 else None
    return segment[8:] if kind == _UDP and len(segment) >= 8 else None
