"""Searches that look away from case on every engine: MariaDB's own would see it, its columns being binary."""

from typing import Any

from django.db.models import CharField, TextField
from django.db.models.lookups import IContains

_BLIND = "utf8mb4_general_ci"


class CaseBlindContains(IContains):
    """``icontains``, whatever collation the column has."""

    def process_lhs(self, compiler: Any, connection: Any, lhs: Any = None) -> tuple[str, Any]:
        """Return the column's side of the comparison."""
        sql, params = super().process_lhs(compiler, connection, lhs)
        return (f"{sql} COLLATE {_BLIND}" if connection.vendor == "mysql" else sql), params


def register() -> None:
    """Have every query use it."""
    for field in (CharField, TextField):
        field.register_lookup(CaseBlindContains)
