"""Which bill a proposal shows, and what the sentence names of why there is none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_one_open")]
    operations = [
        migrations.AddField("rebillproposal", "held_params", models.JSONField(null=True)),
        migrations.AddField("rebillproposal", "document_key", models.CharField(max_length=64, null=True)),
    ]
