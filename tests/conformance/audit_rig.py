"""Audit records in the database of WATTKEEPER_DATABASE: `python audit_rig.py prepare|write|check`.

`write` appends until it is killed or the database is gone, and prints each sequence number once its
transaction is confirmed. `check` prints the newest number and where the chain breaks.
"""

import json
import sys
from datetime import UTC, datetime

TENANT_ID = 1


def main() -> None:
    from wattkeeper.bootstrap import setup_django

    setup_django()
    from django.core.management import call_command

    from wattkeeper.data.audit.chain import find_break, newest_hash
    from wattkeeper.data.registry.models import Tenant

    if sys.argv[1] == "prepare":
        call_command("migrate", verbosity=0)
        Tenant.objects.create(id=TENANT_ID, name="rig", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    elif sys.argv[1] == "write":
        write()
    else:
        print(json.dumps({"newest": newest_hash(TENANT_ID)[0], "break": find_break(TENANT_ID)}))


def write() -> None:
    from django.db import transaction

    from wattkeeper.data.audit.chain import append_record

    while True:
        with transaction.atomic():
            record = append_record(
                tenant_id=TENANT_ID,
                recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
                actor="rig",
                verb="written",
                subject="rig",
                detail={},
            )
        sys.stdout.write(f"{record.sequence}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
