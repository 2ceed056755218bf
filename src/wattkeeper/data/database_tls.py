"""TLS of the way to the relational database, from the query of its URL.

    ?ca=FILE               who vouches for the server, and its name is checked; PostgreSQL: also ca=system
    ?cert=FILE&key=FILE    a client certificate
    ?sslmode=verify-full   PostgreSQL only; so are libpq's names sslrootcert, sslcert, sslkey
    ?insecure=true         without TLS where others can listen

On any address but loopback and sockets TLS is required. Without a host PostgreSQL's library looks for one in
PGHOST and service files: TLS is required of it too, and asked of no socket. PostgreSQL without ``ca`` is
encrypted with a server that nobody vouches for (``sslmode=require``); MariaDB's has to be vouched for by the
machine's own list.
"""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

from wattkeeper.core.kernel.addresses import is_loopback
from wattkeeper.core.kernel.errors import WattkeeperError

_FILES = {"ca": "sslrootcert", "cert": "sslcert", "key": "sslkey"}
_OTHER_NAMES = {name: short for short, name in _FILES.items()}
_WEAK_MODES = frozenset({"disable", "allow", "prefer"})
_STRONG_MODES = frozenset({"require", "verify-ca", "verify-full"})
_MACHINE_LIST = ("ca", "system")  # libpq's word for the machine's own list


def host_of(parts: SplitResult) -> str:
    """Return the host of a URL, or the path of a socket's folder."""
    return unquote(parts.hostname or "")


def tls_options(parts: SplitResult, *, is_postgres: bool) -> dict[str, Any]:
    """
    Return the driver's options for the way that a URL names; none where it is plain.

    :raises WattkeeperError: ``settings.database-option`` for one that is not understood or contradicts
        another, ``settings.database-insecure`` for a mode that does without TLS on an address that others
        reach, ``settings.database-file``
    """
    given = _read(parts.query, is_postgres=is_postgres)
    is_insecure, mode = given.pop("insecure", "") == "true", given.pop("sslmode", "")
    if is_insecure and (given or mode in _STRONG_MODES):
        raise WattkeeperError("settings.database-option", name="insecure")
    is_exposed = not _is_local(host_of(parts), is_postgres=is_postgres) and not is_insecure
    if is_exposed and mode in _WEAK_MODES:
        raise WattkeeperError("settings.database-insecure")
    if given and mode in _WEAK_MODES:
        raise WattkeeperError("settings.database-option", name="sslmode")
    for name, path in given.items():
        if (name, path) != _MACHINE_LIST or not is_postgres:
            _check_file(path)
    if not is_exposed and not given:
        return {"sslmode": mode} if mode else {}
    if is_postgres:
        mode = mode or ("verify-full" if "ca" in given else "require")
        return {"sslmode": mode, **{_FILES[name]: path for name, path in given.items()}}
    return {"ssl": given if "ca" in given else _own_list() | given}


def _read(query: str, *, is_postgres: bool) -> dict[str, str]:
    """Return what the query says, under the short names, each once."""
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        short = _OTHER_NAMES.get(name, name) if is_postgres else name
        values = {"insecure": {"true"}, "sslmode": _WEAK_MODES | _STRONG_MODES if is_postgres else ()}
        is_known = short in _FILES or value in values.get(short, ())
        if not is_known or short in given or not value:
            raise WattkeeperError("settings.database-option", name=name)
        given[short] = value
    if "key" in given and "cert" not in given:
        raise WattkeeperError("settings.database-option", name="key")
    return given


def _is_local(host: str, *, is_postgres: bool) -> bool:
    """Whether nobody is on the way: loopback, a socket; no host at all is one for MariaDB's driver only."""
    is_socket = host.startswith("/") and "," not in host if host else not is_postgres  # libpq takes a list
    return is_socket or is_loopback(host)


def _own_list() -> dict[str, str | None]:
    """The machine's own certificates by name: the driver checks no server's name without a file or folder."""
    paths = ssl.get_default_verify_paths()
    return {"ca": paths.cafile or (None if paths.capath else paths.openssl_cafile), "capath": paths.capath}


def _check_file(path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise WattkeeperError("settings.database-file", path=path, reason=error.strerror) from error
