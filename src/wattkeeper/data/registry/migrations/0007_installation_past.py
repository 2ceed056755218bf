"""Over what time installations were told to be before they were told otherwise."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0006_shown_count")]

    operations = [
        migrations.CreateModel(
            "InstallationPast",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False)),
                (
                    "installation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="past",
                        to="registry.installation",
                    ),
                ),
                ("until_at", models.DateTimeField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(null=True)),
            ],
            {"indexes": [models.Index(fields=["until_at"], name="installation_past_until")]},
        ),
    ]
