"""Serves a street that was read and billed, at a fixed instant: `python serve_street.py FOLDER PORT`.

Once it answers, FOLDER/street.json names what is there. Commands are let go and jobs done as a worker would.
"""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from datetime import time as clock_time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def make(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Make the street in a new data folder and return the services and what is there."""
    from django.core.management import call_command

    from console_street import make_home
    from relational import NOW, make_people, make_street_of
    from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
    from wattkeeper.actions.registry.install_meter import install_meter
    from wattkeeper.actions.services import Services
    from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
    from wattkeeper.data.registry.models import UsagePoint
    from wattkeeper.store.memory import MemoryReadingStore

    call_command("migrate", verbosity=0, interactive=False)
    services = Services(now=lambda: NOW, data_folder=folder, store=MemoryReadingStore())
    people = make_people("ours")
    street = make_street_of(people, services)
    home = make_home(people, street, services)
    clock = FindingDraft(
        people.tenant.id, "collection.clock", f"meter:{street.meter_id}", NOW, meter_id=street.meter_id
    )
    keep_findings([clock], now=NOW)  # one for each screen that closes one
    point = UsagePoint.objects.get(id=home.point_id)
    point.name, point.customer_name = "Flat 101", "Wang Lihua · 王丽华"
    point.save()
    set_cut_policy(
        actor=people.administrator, now=NOW, opens=clock_time(0), closes=clock_time(23, 59), is_any_day=True
    )
    install_meter(
        actor=people.operator,
        now=NOW,
        services=services,
        meter_id=street.other_meter_id,
        usage_point_id=street.other_point_id,
        at=NOW,
    )
    return services, {**asdict(home), "bare_meter_id": street.other_meter_id}


def work_for_ever(services: Any, folder: Path) -> None:
    """Let approved commands go and do jobs, as the worker does; none while FOLDER/hold is there."""
    from console_street import derive
    from wattkeeper.actions.commands.let_go import let_approved_go
    from wattkeeper.actions.jobs.run_job import run_job
    from wattkeeper.data.collection.models import DirtyWindow
    from wattkeeper.data.registry.models import Tenant

    while True:
        let_approved_go(now=services.now())
        time.sleep(0.2)
        if not (folder / "hold").exists() and run_job(services=services):
            while DirtyWindow.objects.exists():
                derive(services.store, Tenant.objects.get().id)


def main(folder: Path, port: int) -> None:
    """Make the street and serve it until told to stop."""
    os.environ["WATTKEEPER_DATA"] = str(folder)
    from wattkeeper.bootstrap import setup_django

    setup_django()
    services, there = make(folder)
    import uvicorn

    from wattkeeper.interfaces.web.console import views_session, visit

    for module in (views_session, visit):
        module.get_services = lambda: services  # type: ignore[attr-defined]
    threading.Thread(target=work_for_ever, args=(services, folder), daemon=True).start()
    (folder / "street.json").write_text(json.dumps(there))
    application = "wattkeeper.interfaces.web.asgi:application"
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
