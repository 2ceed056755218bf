"""Which head-end reads a link; the release before leaves the column to its default."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0008_sealed")]

    operations = [
        migrations.AddField(
            "link",
            "headend",
            models.CharField(
                db_default="main",
                default="main",
                max_length=31,
                validators=[django.core.validators.RegexValidator("\\A[a-z0-9][a-z0-9_-]{0,30}\\Z")],
                verbose_name="head-end",
            ),
        ),
    ]
