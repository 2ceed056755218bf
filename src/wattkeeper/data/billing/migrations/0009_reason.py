"""Why a bill is proposed to be corrected."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_contract_parts")]
    operations = [
        migrations.AddField(
            "rebillproposal",
            "reason",
            models.CharField(
                max_length=12,
                choices=[
                    ("FIGURES", "Other figures"),
                    ("QUALITY", "The same figures; another share of them is estimated"),
                    ("PARTS", "Bills of other days"),
                    ("HELD", "It can't be billed any more"),
                ],
                default="FIGURES",
                db_default="FIGURES",
            ),
        )
    ]
