"""Contracts that do not overlap; tariff versions, bills and lines that nobody rewrites."""

from django.db import migrations

from wattkeeper.data.rules import NoOverlap, Refusal, enforce, immutable

_BILL_COLUMNS = (
    "id tenant_id usage_point_id tariff_version_id document_key starts_at ends_at currency total_minor "
    "energy_milliwh run_id document issued_at corrects_id".split()
)
_PERIOD_TAKEN = """NEW.state = 'ISSUED' AND EXISTS (SELECT 1 FROM billing_bill other
    WHERE other.usage_point_id = NEW.usage_point_id AND other.starts_at = NEW.starts_at
    AND other.ends_at = NEW.ends_at AND other.state = 'ISSUED' AND other.id <> NEW.id)"""

RULES = [
    NoOverlap("contract_no_overlap", "billing_contract", "usage_point_id"),
    *immutable("tariff_version_immutable", "billing_tariffversion"),
    *immutable("bill_line_immutable", "billing_billline"),
    Refusal("bill_immutable", "billing_bill", "DELETE", "1 = 1"),
    Refusal(
        "bill_immutable",
        "billing_bill",
        "UPDATE",
        "NOT (OLD.state = 'ISSUED' AND NEW.state = 'REVERSED') OR "
        + " OR ".join(f"{{differs:{column}}}" for column in _BILL_COLUMNS),
    ),
    Refusal("bill_one_issued_a_period", "billing_bill", "INSERT", _PERIOD_TAKEN, vendors=("mysql",)),
]


class Migration(migrations.Migration):

    dependencies = [("billing", "0002_tables")]
    operations = [enforce(RULES)]
