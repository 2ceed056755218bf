"""A link's endpoint as people see it: a mark stands for its password and its registration packet.

    mqtts://NAME:***@HOST:8883?ca=FILE      listen://0.0.0.0:9000?from=10.1.2.3&token=***

Of one that is not written like these, and may hide a secret anywhere, nothing is shown but its scheme.
"""

import re
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlsplit

from wattkeeper.core.kernel.errors import WattkeeperError

MARK = "***"
_PASSWORD, TOKEN = "password", "token"
_OPTIONS = frozenset({"ca", "cert", "from", "insecure", "key", TOKEN})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MAY_HIDE = re.compile(r"[@?&=]")


def shown_endpoint(endpoint: str) -> str:
    """Return an endpoint without its secrets, for pages, programs, logs and messages."""
    if _split(endpoint) is not None:
        return _swap(endpoint, lambda _kind, _secret: MARK)
    return f"{_scheme(endpoint)}{MARK}" if _MAY_HIDE.search(endpoint) else endpoint


def kept_endpoint(endpoint: str, stored: str) -> str:
    """
    Return what is written where somebody gives an endpoint as it was shown: marks stand for stored secrets.

    :raises WattkeeperError: ``links.secret-elsewhere`` where none is stored, or user, host or scheme are not
        as they were; only to ``mqtts`` a scheme may change
    """
    if endpoint == shown_endpoint(stored):
        return stored
    secrets = _secrets(stored)
    marked = [kind for kind, secret in _secrets(endpoint).items() if secret == MARK]
    if not marked and (MARK not in endpoint or _split(endpoint) is not None):
        return endpoint
    kept = _swap(endpoint, lambda kind, secret: secrets.get(kind, MARK) if secret == MARK else secret)
    if not marked or not secrets.keys() >= set(marked) or not _leads_alike(kept, stored):
        raise WattkeeperError("links.secret-elsewhere", field="endpoint")
    return kept


def _leads_alike(endpoint: str, stored: str) -> bool:
    now, before = _split(endpoint), _split(stored)
    if now is None or before is None or now.scheme not in (before.scheme, "mqtts"):
        return False
    return (now.username, now.hostname) == (before.username, before.hostname)


def _secrets(endpoint: str) -> dict[str, str]:
    """Return the secrets of an endpoint by kind; the last one of a kind is the one in force."""
    secrets: dict[str, str] = {}

    def note(kind: str, secret: str) -> str:
        secrets[kind] = secret
        return secret

    if _split(endpoint) is not None:
        _swap(endpoint, note)
    return secrets


def _swap(endpoint: str, swap: Callable[[str, str], str]) -> str:
    """Return an endpoint with each of its secrets replaced by what `swap` returns for it and its kind."""
    address, question, query = endpoint.partition("?")
    scheme = _scheme(address)
    userinfo, at, host = address[len(scheme) :].rpartition("@")
    user, colon, password = userinfo.partition(":")
    if password:
        password = swap(_PASSWORD, password)
    options = []
    for option in query.split("&"):
        name, equals, value = option.partition("=")
        if value and unquote_plus(name) == TOKEN:
            value = swap(TOKEN, value)
        options.append(f"{name}{equals}{value}")
    return f"{scheme}{user}{colon}{password}{at}{host}{question}{'&'.join(options)}"


def _split(endpoint: str) -> SplitResult | None:
    """Return the parts of an endpoint whose secrets are where they belong, else None."""
    try:
        parts = urlsplit(endpoint if _scheme(endpoint) else f"mqtt://{endpoint}")
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        host, _ = parts.hostname or "", parts.port  # the port of some that have none can't be asked for
    except ValueError:
        return None
    is_clear = endpoint == endpoint.strip() and endpoint.isprintable()
    is_known = all(name in _OPTIONS for name, _ in options)
    is_whole = not _MAY_HIDE.search(parts.path + parts.fragment)
    is_address = host != "" and MARK not in host
    return parts if is_address and is_clear and is_known and is_whole else None


def _scheme(endpoint: str) -> str:
    scheme = _SCHEME.match(endpoint)
    return scheme[0] if scheme else ""
