"""The pipeline, wired for one tenant."""

from collections.abc import Callable
from datetime import datetime

from wattkeeper.bootstrap.pipeline_many import DataMany
from wattkeeper.bootstrap.pipeline_rates import DataRates
from wattkeeper.bootstrap.pipeline_rollups import StoreRollUps
from wattkeeper.bootstrap.pipeline_single import (
    DataFindings,
    DataRegistry,
    DataRuns,
    DataWindows,
    StoreMeasurements,
    StoreRawReads,
)
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.api import ReadingStore


def pipeline_ports(store: ReadingStore, tenant_id: int, now: Callable[[], datetime]) -> Ports:
    """Return the pipeline's ports for one tenant."""
    registry = DataRegistry()
    return Ports(
        registry=registry,
        raw_reads=StoreRawReads(store, tenant_id),
        measurements=StoreMeasurements(store, tenant_id),
        windows=DataWindows(tenant_id),
        findings=DataFindings(tenant_id, registry, now),
        runs=DataRuns(tenant_id),
        many=DataMany(store, tenant_id, registry, now),
        roll_ups=StoreRollUps(store, tenant_id),
        rates=DataRates(store, tenant_id),
    )
