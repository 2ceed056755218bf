"""The audit chain only grows."""

from django.db import migrations

from wattkeeper.data.rules import enforce, immutable

RULES = immutable("audit_record_immutable", "audit_auditrecord")


class Migration(migrations.Migration):

    dependencies = [("audit", "0001_tables")]
    operations = [enforce(RULES)]
