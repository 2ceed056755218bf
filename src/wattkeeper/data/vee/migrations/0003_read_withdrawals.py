"""Withdrawals of reads that a person noted: who, why, how much, and the second person."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

_STATES = [
    ("PENDING", "Waits for a second person"),
    ("IN_FORCE", "In force"),
    ("REJECTED", "Rejected"),
    ("WITHDRAWN", "Withdrawn"),
]


def _one(to: str, **more: object) -> models.Field:
    return models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to=to, **more)


class Migration(migrations.Migration):
    dependencies = [("vee", "0002_constraints"), ("collection", "0014_field_read_withdrawn")]

    operations = [
        migrations.CreateModel(
            "ReadWithdrawal",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, verbose_name="ID", serialize=False)),
                ("changed_milliwh", models.BigIntegerField()),
                ("reason", models.CharField(max_length=240)),
                ("state", models.CharField(max_length=12, choices=_STATES)),
                ("recorded_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                ("decision_note", models.CharField(max_length=240, blank=True)),
                ("approver", _one(settings.AUTH_USER_MODEL, null=True, related_name="+")),
                ("author", _one(settings.AUTH_USER_MODEL, related_name="+")),
                ("field_read", _one("collection.fieldread", related_name="withdrawals")),
                ("tenant", _one("registry.tenant")),
            ],
        ),
        migrations.AddConstraint(
            "readwithdrawal",
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(approver=F("author")), name="vee_withdrawal_two_people"
            ),
        ),
    ]
