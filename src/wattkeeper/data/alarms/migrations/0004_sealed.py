"""What people said about findings in a sealed column.

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
    dependencies = [("alarms", "0003_finding_subject")]

    operations = [
        _now_plain("findingcomment", "text", models.TextField(blank=True, default="", db_column="text")),
        migrations.AddField("findingcomment", "text", SealedTextField(db_column="text_sealed")),
    ]
