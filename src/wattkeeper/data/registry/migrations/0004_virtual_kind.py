"""Usage points of virtual meters: the database sees nothing of it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("registry", "0003_sealed")]

    operations = [
        migrations.AlterField(
            "usagepoint",
            "kind",
            models.CharField(
                choices=[
                    ("CUSTOMER", "Customer"),
                    ("MAIN", "Main meter"),
                    ("SUB", "Sub-meter"),
                    ("VIRTUAL", "Virtual meter"),
                ],
                default="CUSTOMER",
                max_length=20,
                verbose_name="kind",
            ),
        ),
    ]
