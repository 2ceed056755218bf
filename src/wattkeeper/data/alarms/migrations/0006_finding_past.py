import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('alarms', '0005_finding_place'),
    ]

    operations = [
        migrations.CreateModel(
            name='FindingPast',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('until_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(null=True)),
                ('evidence', models.JSONField(default=dict)),
                ('closed_at', models.DateTimeField(null=True)),
                ('finding', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='past', to='alarms.finding')),
            ],
            options={
                'indexes': [models.Index(fields=['finding', 'until_at'], name='finding_past_until')],
            },
        ),
    ]
