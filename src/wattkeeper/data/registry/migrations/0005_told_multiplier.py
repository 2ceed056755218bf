"""Multipliers that meters tell themselves."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_virtual_kind")]

    operations = [
        migrations.CreateModel(
            "ToldMultiplier",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("told_at", models.DateTimeField()),
                ("numerator", models.BigIntegerField()),
                ("denominator", models.BigIntegerField()),
                (
                    "meter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="told_multipliers",
                        to="registry.meter",
                    ),
                ),
            ],
            {
                "constraints": [
                    models.UniqueConstraint(fields=["meter", "told_at"], name="told_multiplier_once"),
                    models.CheckConstraint(
                        condition=models.Q(numerator__gt=0) & models.Q(denominator__gt=0),
                        name="told_multiplier_positive",
                    ),
                ]
            },
        ),
    ]
