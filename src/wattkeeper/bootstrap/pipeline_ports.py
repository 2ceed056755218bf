"""The pipeline, wired for one tenant."""

from collections.abc import Callable
from datetime import datetime

from wattkeeper.actions.operations.places import Places
from wattkeeper.bootstrap.engines import data_folder
from wattkeeper.bootstrap.pipeline_archived import OpenWindows
from wattkeeper.bootstrap.pipeline_bills import DataBills
from wattkeeper.bootstrap.pipeline_held import HeldMeasurements, HeldRates, HeldRollUps, HeldWindows, Holding
from wattkeeper.bootstrap.pipeline_hints import DataHints
from wattkeeper.bootstrap.pipeline_many import DataMany
from wattkeeper.bootstrap.pipeline_rules import DataRules
from wattkeeper.bootstrap.pipeline_single import (
    DataFindings,
    DataRegistry,
    DataRuns,
    DataWindows,
    StoreRawReads,
)
from wattkeeper.bootstrap.pipeline_virtual import DataVirtual
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.archive import horizon_s


def pipeline_ports(store: ReadingStore, tenant_id: int, now: Callable[[], datetime]) -> Ports:
    """Return the pipeline's ports for one tenant."""
    rules, holding = DataRules(tenant_id), Holding(tenant_id, now)
    registry = DataRegistry(rules)
    return Ports(
        registry=registry,
        raw_reads=StoreRawReads(store, tenant_id),
        measurements=HeldMeasurements(store, tenant_id, holding),
        windows=OpenWindows(
            HeldWindows(DataWindows(tenant_id, now), holding), tenant_id, _archived_to_s, now
        ),
        findings=DataFindings(tenant_id, registry, now),
        runs=DataRuns(tenant_id, rules),
        many=DataMany(store, tenant_id, registry, rules, now),
        roll_ups=HeldRollUps(store, tenant_id, holding),
        rates=HeldRates(store, tenant_id, holding),
        virtual=DataVirtual(tenant_id, now),
        bills=DataBills(tenant_id),
        hints=DataHints(tenant_id, holding),
    )


def _archived_to_s() -> int:
    return horizon_s(Places.of(data_folder()).archive)
