"""Rows of one tenant among those that something rarer than the tenant finds."""

from django.db.models import BigIntegerField, ExpressionWrapper, F
from django.db.models.lookups import Exact


def owned_by(name: str, tenant_id: int) -> Exact:
    """Return the condition that a column names a tenant, for a question that an index of another finds.

    As a sum, which leads to no index: by the tenant SQLite would go over all that the tenant has.
    """
    return Exact(ExpressionWrapper(F(name) + 0, output_field=BigIntegerField()), tenant_id)
