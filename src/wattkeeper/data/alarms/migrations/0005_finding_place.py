from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('alarms', '0004_sealed'),
        ('registry', '0005_told_multiplier'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(fields=['tenant', 'usage_point', 'starts_at'], name='finding_place'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(fields=['state', 'starts_at'], name='finding_state'),
        ),
    ]
