"""One open proposal a bill, on MariaDB as a trigger."""

from django.db import migrations

from wattkeeper.data.rules import Refusal, enforce

_TAKEN = """NEW.state = 'OPEN' AND EXISTS (SELECT 1 FROM billing_rebillproposal other
    WHERE other.bill_id = NEW.bill_id AND other.state = 'OPEN' AND other.id <> NEW.id)"""


class Migration(migrations.Migration):

    dependencies = [("billing", "0004_rebills")]
    operations = [
        enforce(
            [Refusal("rebill_one_open", "billing_rebillproposal", "INSERT", _TAKEN, vendors=("mysql",))]
        )
    ]
