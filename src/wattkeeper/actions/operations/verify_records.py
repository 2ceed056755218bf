"""The audit chains with their anchors, the spool's rows, and the archive's files."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.chain import SYSTEM_TENANT_ID, find_break, newest_hash
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.headend.spool_check import check_rows
from wattkeeper.store.archive import list_manifests, verify_files
from wattkeeper.store.verify import Check


def check_audit(check: Check, tenant_ids: Iterable[int], anchors: Path) -> None:
    """Every record follows from the one before, and every anchored record is still there."""
    chains = sorted({SYSTEM_TENANT_ID, *tenant_ids})
    kept = list(_read_anchors(anchors))
    for tenant_id in chains:
        sequence, _ = newest_hash(tenant_id)
        check.examined_count += sequence
        if (broken_at := find_break(tenant_id)) is not None:
            check.fault("verify.audit-broken", tenant_id=tenant_id, sequence=broken_at)
        for anchor in kept:
            if anchor["tenant_id"] == tenant_id and not _is_there(anchor):
                check.fault(
                    "verify.audit-cut", tenant_id=tenant_id, sequence=anchor["sequence"], newest=sequence
                )
                break
    if not kept:
        check.cannot("verify.audit-no-anchor")


def keep_anchors(tenant_ids: Iterable[int], anchors: Path) -> None:
    """Write down the newest record of each chain, durably, beside the database."""
    known = {(anchor["tenant_id"], anchor["sequence"]) for anchor in _read_anchors(anchors)}
    lines = []
    for tenant_id in sorted({SYSTEM_TENANT_ID, *tenant_ids}):
        sequence, newest = newest_hash(tenant_id)
        if sequence and (tenant_id, sequence) not in known:
            lines.append(json.dumps({"tenant_id": tenant_id, "sequence": sequence, "hash": newest}) + "\n")
    if lines:
        anchors.parent.mkdir(parents=True, exist_ok=True)
        with anchors.open("a") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())


def _read_anchors(anchors: Path) -> list[dict[str, str | int]]:
    if not anchors.exists():
        return []
    return [json.loads(line) for line in anchors.read_text().splitlines() if line]


def _is_there(anchor: dict[str, str | int]) -> bool:
    return AuditRecord.objects.filter(
        tenant_id=anchor["tenant_id"], sequence=anchor["sequence"], hash=anchor["hash"]
    ).exists()


def check_spool(check: Check, folder: Path) -> None:
    """Every batch that waits in the spool has its checksum; nothing was set aside as damaged."""
    for path in sorted(folder.glob("segment-*.sqlite")):
        try:
            for row_id, is_whole in check_rows(path):
                check.examined_count += 1
                if not is_whole:
                    check.fault("verify.spool-row", file=path.name, row=row_id)
        except WattkeeperError as error:
            if path.exists():  # else all of it was delivered meanwhile
                check.fault("verify.spool-segment", file=path.name, reason=error.code)
    for path in sorted((*folder.glob("quarantined-*"), *folder.glob("damaged-*"))):
        check.fault("verify.spool-quarantined", file=path.name)


def check_archive(check: Check, folder: Path) -> None:
    """Every file of the archive is the one that was written."""
    for manifest in list_manifests(folder):
        check.examined_count += 1
        for name in verify_files(folder, manifest):
            check.fault("verify.archive-damaged", file=name, month=manifest.month, table=manifest.table)
