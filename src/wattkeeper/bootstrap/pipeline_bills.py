"""The pipeline's port for bills: those that rest on changed values are looked at again."""

from wattkeeper.data.billing.rebills import mark_bills
from wattkeeper.pipeline.ports import MeasurementRows


class DataBills:
    """Issued bills of one tenant."""

    def __init__(self, tenant_id: int) -> None:
        self._tenant_id = tenant_id

    def mark(self, rows: MeasurementRows) -> None:
        """Note that the values of rows change."""
        mark_bills(tenant_id=self._tenant_id, series_id=rows.series_id, starts_at_s=rows.starts_at_s)
