"""Kept answers in a sealed column; the framework's own contact columns stay empty.

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
    dependencies = [("accounts", "0002_tables")]

    operations = [
        _now_plain("idempotencykey", "response", models.TextField(blank=True, default="", db_column="response")),
        migrations.AddField("idempotencykey", "response", SealedTextField(blank=True, db_column="response_sealed")),
        migrations.AddConstraint(
            "user",
            models.CheckConstraint(
                condition=models.Q(("email", ""), ("first_name", ""), ("last_name", "")),
                name="user_without_plain_contacts",
            ),
        ),
    ]
