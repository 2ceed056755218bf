"""What a run wrote can be told from anything else; null: of a release before, which kept no sum."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collection", "0014_field_read_withdrawn")]

    operations = [migrations.AddField("run", "values_mix", models.BigIntegerField(null=True))]
