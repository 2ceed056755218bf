"""Errors as answers: a status for each code, a body of code, message and params."""

from typing import Any

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.messages import sentence

_STATUSES = {
    "registry.not-found": 404,
    "accounts.not-allowed": 403,
    "accounts.no-tenant": 403,
    "accounts.log-in-required": 401,
    "accounts.log-in-refused": 401,
    "accounts.csrf": 403,
    "accounts.too-many-tries": 429,
    "requests.key-reused": 409,
    "requests.in-flight": 409,
    "requests.key-too-long": 422,
    "requests.body-too-large": 413,
    "commands.key-reused": 409,
    "commands.meter-not-installed": 409,
    "registry.taken": 409,
    "meters.has-reads": 409,
    "meters.in-use": 409,
    "sites.in-use": 409,
    "usage-points.in-use": 409,
    "links.in-use": 409,
    "installations.overlap": 409,
    "contracts.overlap": 409,
    "contracts.none-in-force": 409,
    "contracts.none-ended": 409,
    "contracts.nobody-before": 409,
    "contracts.billed": 409,
    "contracts.counted-on": 409,
    "billing.not-issued": 409,
    "multipliers.overlap": 409,
    "tariffs.number-taken": 409,
    "tariffs.version-taken": 409,
    "bills.immutable": 409,
    "billing.proposal-stale": 409,
}
_UNPROCESSABLE, _LATER = 422, 503


def status_of(error: WattkeeperError) -> int:
    """Return the HTTP status an error is answered with."""
    if error.code in _STATUSES:
        return _STATUSES[error.code]
    return _UNPROCESSABLE if error.is_permanent else _LATER


def body_of(error: WattkeeperError, language: str) -> dict[str, Any]:
    """Return the body an error is answered with, its message in `language`."""
    return {
        "code": error.code,
        "message": sentence(error.code, error.params, language),
        "params": {name: _plain(value) for name, value in error.params.items()},
    }


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | bool | None) else str(value)
