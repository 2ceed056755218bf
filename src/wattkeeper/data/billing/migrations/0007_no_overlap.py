"""No part of a period is billed by two issued bills."""

from django.db import migrations

from wattkeeper.data.rules import Refusal, enforce

_TAKEN = """NEW.state = 'ISSUED' AND EXISTS (SELECT 1 FROM billing_bill other
    WHERE other.usage_point_id = NEW.usage_point_id AND other.state = 'ISSUED' AND other.id <> NEW.id
    AND other.starts_at < NEW.ends_at AND other.ends_at > NEW.starts_at
    AND NOT (other.starts_at = NEW.starts_at AND other.ends_at = NEW.ends_at))"""

RULES = [Refusal("bill_no_overlap", "billing_bill", "INSERT", _TAKEN)]


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_shown_figures")]
    operations = [enforce(RULES)]
