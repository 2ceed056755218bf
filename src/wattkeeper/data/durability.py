"""Whether the database keeps what it confirms: asked at each start, a wrong setting shows nowhere else."""

import structlog
from django.db import connection

from wattkeeper.core.kernel.errors import WattkeeperError

_UNSAFE_COMMITS = ("off", "local")  # lost with the power, or with the primary
log = structlog.get_logger()


def require_durable() -> None:
    """
    Return if a confirmed commit survives; what only the machine's owner may decide is logged.

    :raises WattkeeperError: ``database.commits-unsafe`` if commits are confirmed before they are kept
    """
    if connection.vendor == "postgresql":
        commits = _ask("SHOW synchronous_commit")
        if commits in _UNSAFE_COMMITS:
            raise WattkeeperError("database.commits-unsafe", name="synchronous_commit", value=commits)
        _warn("fsync", _ask("SHOW fsync"), good="on")
        _warn("full_page_writes", _ask("SHOW full_page_writes"), good="on")
    elif connection.vendor == "mysql":
        _warn("innodb_flush_log_at_trx_commit", _ask("SELECT @@innodb_flush_log_at_trx_commit"), good="1")


def _warn(name: str, value: str, *, good: str) -> None:
    if value != good:
        log.error("database.unsafe-setting", name=name, value=value, wanted=good)


def _ask(question: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
    return str(row[0]) if row else ""
