"""Endpoints and errors of jobs in sealed columns.

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
    dependencies = [("collection", "0007_leases")]

    operations = [
        _now_plain("link", "endpoint", models.CharField(max_length=200, blank=True, default="", db_column="endpoint")),
        migrations.AddField("link", "endpoint", SealedTextField(verbose_name="endpoint", max_length=200, db_column="endpoint_sealed")),
        migrations.AddField("job", "errors_json", SealedTextField(blank=True)),
    ]
