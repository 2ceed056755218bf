"""Names, customers and addresses in sealed columns.

The columns of the release before stay, and stay writable for it; their texts move over with the next start.
"""

from django.db import migrations, models

from wattkeeper.data.sealing.fields import SealedTextField


def _now_plain(model: str, name: str, field: models.Field) -> migrations.SeparateDatabaseAndState:
    """Let a column go on under another name in Python; the database sees nothing of it."""
    return migrations.SeparateDatabaseAndState(
        state_operations=[
            migrations.RenameField(model, name, f"plain_{name}"),
            migrations.AlterField(model, f"plain_{name}", field),
        ]
    )


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_constraints")]

    operations = [
        _now_plain("site", "address", models.CharField(max_length=240, blank=True, default="", db_column="address")),
        migrations.AddField("site", "address", SealedTextField(verbose_name="address", max_length=240, blank=True, db_column="address_sealed")),
        _now_plain("usagepoint", "name", models.CharField(max_length=120, blank=True, default="", db_column="name")),
        migrations.AddField("usagepoint", "name", SealedTextField(verbose_name="name", max_length=120, db_column="name_sealed")),
        _now_plain("usagepoint", "customer_name", models.CharField(max_length=120, blank=True, default="", db_column="customer_name")),
        migrations.AddField("usagepoint", "customer_name", SealedTextField(verbose_name="customer", max_length=120, blank=True, db_column="customer_name_sealed")),
    ]
