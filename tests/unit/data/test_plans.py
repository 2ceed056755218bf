"""What a run asks for each slice of series must not cost more the more meters there are beside them."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from relational import NOW, People
from wattkeeper.bootstrap.pipeline_rates import DataRates
from wattkeeper.data.alarms.queries import FindingDraft, close_windows, keep_findings
from wattkeeper.data.billing.models import Contract
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.collection.touched import series_of_channels
from wattkeeper.data.registry.plain_facts import get_plain_rows
from wattkeeper.data.registry.resets import list_reset_series
from wattkeeper.data.registry.told import list_told_otherwise
from wattkeeper.store.memory import MemoryReadingStore

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="plans are read from SQLite's words")
SERIES_ID = np.arange(1, 8193)
LARGE = (
    "billing_contract",
    "registry_meter",
    "registry_usagepoint",
    "registry_series",
    "registry_channel",
    "registry_installation",
    "alarms_finding",
    "collection_fieldread",
)


def steps_over_all(ask: Callable[[], object]) -> Iterator[str]:
    """Yield the steps of plans that go over all rows of a large table, or all that a tenant has."""
    with CaptureQueriesContext(connection) as captured:
        ask()
    asked = [query["sql"] for query in captured if query["sql"].startswith(("SELECT", "UPDATE"))]
    assert asked
    with connection.cursor() as cursor:
        for sql in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            for *_, step in cursor.fetchall():
                is_over_all = step.startswith("SCAN") or step.endswith("(tenant_id=?)")
                if is_over_all and step.split()[1] in LARGE:
                    yield step


def test_a_slice_of_series_is_asked_for_by_itself(ours: People) -> None:
    tenant_id = ours.tenant.id
    rates = DataRates(MemoryReadingStore(), tenant_id)
    draft = FindingDraft(tenant_id, "vee.spike", "series:1", NOW)
    seconds = int(NOW.timestamp())
    reads = Spans.of((channel_id, seconds, seconds + 1) for channel_id in range(1, 400))
    asks = (
        lambda: series_of_channels(tenant_id, reads),
        lambda: rates.get_calendars(SERIES_ID, seconds - 86_400, seconds),
        lambda: get_plain_rows(SERIES_ID, since=NOW),
        lambda: list_told_otherwise(tenant_id),
        lambda: list_reset_series(tenant_id),
        lambda: keep_findings([draft], now=NOW),
        lambda: close_windows(
            tenant_id=tenant_id,
            usage_point_ids=(1, 4096),
            subject_keys={"series:1"},
            from_at=NOW,
            to_at=NOW,
            kept=set(),
            now=NOW,
        ),
    )
    assert [step for ask in asks for step in steps_over_all(ask)] == []


def test_a_search_through_all_that_a_tenant_has_is_seen(ours: People) -> None:
    """The planted fault: the tenant named beside a range of series."""
    own = Contract.objects.filter(tenant_id=ours.tenant.id, usage_point__series__id__range=(1, 8192))
    assert list(steps_over_all(lambda: list(own)))
