"""Reads off displays that were delivered against the store that they were delivered to."""

from wattkeeper.actions.operations.verify_scope import Scope
from wattkeeper.actions.registry.deliver_field_reads import row_of
from wattkeeper.core.kernel.quality import Source
from wattkeeper.data.collection.models import FieldRead
from wattkeeper.store import verify_queries
from wattkeeper.store.verify import Check, instant

_CHANNELS_COUNT = 1000  # looked at together


def check_field_reads(scope: Scope, check: Check) -> None:
    """Every read that a person noted, and that was delivered, is in the store as it was noted."""
    delivered = FieldRead.objects.filter(tenant_id=scope.tenant_id, delivered_at__isnull=False)
    channel_ids = list(delivered.order_by("channel_id").values_list("channel_id", flat=True).distinct())
    for start in range(0, len(channel_ids), _CHANNELS_COUNT):
        ids = channel_ids[start : start + _CHANNELS_COUNT]
        noted = [row_of(read) for read in delivered.filter(channel_id__in=ids).order_by("channel_id", "id")]
        query = verify_queries.reads_of_source(scope.tenant_id, ids, Source.FIELD)
        held = {tuple(row.values()) for row in scope.store.select(query).to_pylist()}
        check.examined_count += len(noted)
        for channel_id, at_s, value, flags in noted:
            if (channel_id, at_s, value, flags) not in held and not scope.is_away(at_s, at_s + 1):
                check.fault("verify.field-read-lost", channel_id=channel_id, at=instant(at_s), value=value)
