"""When this installation was last backed up, and when a backup last proved that it restores."""

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_findings
from wattkeeper.data.registry.models import Tenant

AGE_MAX = timedelta(hours=26)
_RULES = {"backed_up_at": "operations.backup-old", "restored_at": "operations.drill-old"}
_SUBJECT = "installation:backup"


def note(data_folder: Path, **instants: datetime) -> None:
    """Keep instants by name (`backed_up_at`, `restored_at`) beside what is known."""
    path = _path(data_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = _read(path) | instants
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump({name: at.isoformat() for name, at in known.items()}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def watch_backups(data_folder: Path, now: datetime) -> int:
    """Keep or close the findings of every organisation; return how many there are.

    Nobody is told who never made a backup here: another machine may make them.
    """
    known = _read(_path(data_folder))
    if "backed_up_at" not in known:
        return 0
    drafts = list(_drafts(known, now))
    keep_findings(drafts, now=now)
    told = {draft.rule for draft in drafts}
    for tenant_id in Tenant.objects.values_list("id", flat=True):
        for rule in _RULES.values():
            if rule not in told:
                close_gone(tenant_id=tenant_id, rule=rule, subject_key=_SUBJECT, now=now)
    return len(drafts)


def _drafts(known: dict[str, datetime], now: datetime) -> Iterator[FindingDraft]:
    for name, rule in _RULES.items():
        newest_at = known.get(name, known["backed_up_at"])
        if now - newest_at > AGE_MAX:
            for tenant_id in Tenant.objects.values_list("id", flat=True):
                evidence = {"newest_at": newest_at.isoformat()}
                yield FindingDraft(tenant_id, rule, _SUBJECT, newest_at, evidence=evidence)


def _read(path: Path) -> dict[str, datetime]:
    if not path.exists():
        return {}
    return {name: datetime.fromisoformat(text) for name, text in json.loads(path.read_text()).items()}


def _path(data_folder: Path) -> Path:
    return data_folder / "proofs" / "backups.json"
