"""Two organisations may issue what is, by its codes and values, the same document."""

from importlib import import_module

from django.db import migrations, models

from wattkeeper.data.rules import enforce_on_sqlite

_TABLE = "billing_bill"
_STEPS = ("0003_constraints", "0007_no_overlap")
_RULES = [
    rule
    for step in _STEPS
    for rule in import_module(f"wattkeeper.data.billing.migrations.{step}").RULES
    if rule.table == _TABLE
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_accepted_estimates")]
    operations = [
        migrations.AddConstraint(
            "bill", models.UniqueConstraint(fields=["tenant", "document_key"], name="bill_document_key")
        ),
        migrations.AlterField("bill", "document_key", models.CharField(max_length=64)),
        enforce_on_sqlite(_RULES),
    ]
