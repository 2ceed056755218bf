"""An installation full of canaries: `python -m conformance.canary_home FOLDER make`, on the database set.

Everything that people write of people goes through the doors that people use, pages excepted: the API, verbs,
uploads, jobs. Standard error is the process's log.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

CANARIES = {
    "customer": "Zebedee Quillfeather",
    "point": "Loft of Threnody Marchbanks",
    "address": "17 Oubliette Terrace",
    "phone": "+44 7700 900417",
    "device key": "W0mbat-K3y-645!",
    "broker password": "Br0ker-Xylophone",
    "comment": "ask Isolde Vandersnoot first",
    "cell of a file": "Peregrine-Hatherleigh",
    "file that waits": "Ottoline-Featherstone-meter",
}
PLANT = "Wilhelmina Drumgoole"


def make(folder: Path) -> None:
    """Write every canary, edit, search, let a job fail on some rows, leave a file waiting."""
    from django.conf import settings
    from django.core.management import call_command

    from api_caller import Caller
    from relational import NOW, make_people, make_street_of
    from wattkeeper.actions.collection.request_import import request_import
    from wattkeeper.actions.jobs.run_job import run_job
    from wattkeeper.actions.keys.ready_keys import ready_keys
    from wattkeeper.actions.registry.edit_meter import edit_meter
    from wattkeeper.actions.services import Services
    from wattkeeper.bootstrap.logs import set_up_logs
    from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
    from wattkeeper.store.memory import MemoryReadingStore

    set_up_logs("canaries")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # not what is tried here
    call_command("migrate", verbosity=0, interactive=False)
    ready_keys()
    people = make_people("ours")
    services = Services(now=lambda: NOW, data_folder=folder, store=MemoryReadingStore())
    street = make_street_of(people, services)
    call = Caller(people.administrator)
    site = {"code": "C", "name": "Court", "kind": "RESIDENTIAL", "time_zone": "Europe/London"}
    site_id = told(call("POST", "/sites", {**site, "address": CANARIES["address"]}, **once("s")))["id"]
    customer = f"{CANARIES['customer']} {CANARIES['phone']}"
    point = {"site_id": site_id, "code": "C1", "name": CANARIES["point"], "customer_name": customer}
    point_id = told(call("POST", "/usage-points", point, **once("p")))["id"]
    told(call("PATCH", f"/usage-points/{point_id}", {"customer_name": f"{customer} junior"}))
    assert told(call("GET", "/usage-points?search=quillfeather"))["total_count"] == 1
    password = {"password": CANARIES["device key"].encode()}
    edit_meter(actor=people.operator, now=NOW, services=services, meter_id=street.meter_id, keys=password)
    broker = f"mqtt://collector:{CANARIES['broker password']}@127.0.0.1:1883"
    link = {"site_id": site_id, "name": "broker", "transport": "MQTT", "endpoint": broker}
    told(call("POST", "/links", link, **once("l")))
    draft = FindingDraft(people.tenant.id, "vee.constant", "series:1", NOW, usage_point_id=point_id)
    keep_findings([draft], now=NOW)
    finding_id = told(call("GET", "/findings"))["items"][0]["finding_id"]
    told(call("POST", f"/findings/{finding_id}/comments", {"text": CANARIES["comment"]}))
    told(call("POST", f"/findings/{finding_id}/close", {"text": CANARIES["comment"]}))
    head = "usage_point,channel,starts_at,interval_s,value,unit,quality"
    rows = f"{head}\n{CANARIES['cell of a file']},U1,2026-11-01T00:00:00Z,900,1,V,raw\n"
    request_import(actor=people.operator, now=NOW, services=services, content=[rows.encode()], label="a.csv")
    assert run_job(services=services)
    job = told(call("GET", "/jobs"))[0]
    assert CANARIES["cell of a file"] in json.dumps(job["errors"]), job
    waiting = f"{CANARIES['file that waits']},E1\n".encode() * 50_000
    request_import(actor=people.operator, now=NOW, services=services, content=[waiting], label="b.csv")


def told(answer: Any) -> Any:
    """Return what the API answered, or fail with it."""
    assert answer.status_code < 300, answer.content
    return answer.json() if answer.content else None


def once(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def leave_plain() -> None:
    """Write a name as a release that does not seal would."""
    from wattkeeper.data.registry.models import UsagePoint

    UsagePoint.objects.filter(code="C1").update(plain_customer_name=PLANT, customer_name=None)


def seal_plain() -> None:
    """Start again, which seals what was left plain."""
    from wattkeeper.actions.keys.ready_keys import ready_keys
    from wattkeeper.data.registry.models import UsagePoint

    ready_keys()
    assert UsagePoint.objects.get(code="C1").customer_name == PLANT


if __name__ == "__main__":
    place = Path(sys.argv[1])
    os.environ["WATTKEEPER_DATA"] = str(place)
    from wattkeeper.bootstrap import setup_django

    setup_django()
    {"make": lambda: make(place), "plain": leave_plain, "seal": seal_plain}[sys.argv[2]]()
