"""Which addresses only this machine reaches: anywhere else TLS is the default. Where a secret is in a URL."""

import ipaddress
from urllib.parse import SplitResult, unquote, urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name that is not ``localhost`` may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_url(url: str) -> SplitResult | None:
    """Return the parts of ``scheme://user:password@host:port/path?options``, the port a number or none.

    None where a secret may stand anywhere else than behind the user, as that of which ``/``, ``?``, ``#``,
    ``@`` or a bracket is not written as ``%2F`` and the like does: nothing of such a URL may be quoted.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:  # which may quote it
        return None
    is_told = url.lower().startswith(f"{parts.scheme}://") and parts.scheme != ""
    is_cut = "@" in parts.path or "#" in url or ("@" in parts.query and "@" not in parts.netloc)
    is_clear = all(map(str.isprintable, (url, unquote(parts.username or ""), unquote(parts.password or ""))))
    return parts if is_told and is_clear and not is_cut else None
