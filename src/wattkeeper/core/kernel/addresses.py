"""Which addresses only this machine reaches: anywhere else TLS is the default."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name that is not ``localhost`` may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
