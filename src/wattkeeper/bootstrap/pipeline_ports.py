"""The pipeline, wired for one tenant."""

from collections.abc import Callable
from datetime import datetime

from wattkeeper.actions.operations.places import Places
from wattkeeper.bootstrap.engines import data_folder
from wattkeeper.bootstrap.pipeline_archived import OpenWindows
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
from wattkeeper.store.archive import horizon_s


def pipeline_ports(store: ReadingStore, tenant_id: int, now: Callable[[], datetime]) -> Ports:
    """Return the pipeline's ports for one tenant."""
    registry = DataRegistry()
    return Ports(
        registry=registry,
        raw_reads=StoreRawReads(store, tenant_id),
        measurements=StoreMeasurements(store, tenant_id),
        windows=OpenWindows(DataWindows(tenant_id), tenant_id, _archived_to_s, now),
        findings=DataFindings(tenant_id, registry, now),
        runs=DataRuns(tenant_id),
        many=DataMany(store, tenant_id, registry, now),
        roll_ups=StoreRollUps(store, tenant_id),
        rates=DataRates(store, tenant_id),
    )


def _archived_to_s() -> int:
    return horizon_s(Places.of(data_folder()).archive)
