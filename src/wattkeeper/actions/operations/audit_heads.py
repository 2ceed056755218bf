"""Audit chains sealed as they grow: signed heads in the database and, line by line, in a second place.

The second place is a file, best on another disk or machine (``WATTKEEPER_AUDIT_COPY``). What was appended
since the newest head can still be cut off unseen: the worker seals every second.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction
from django.db.models import Max

from wattkeeper.actions.operations.places import Places
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.chain import SYSTEM_TENANT_ID, newest_hash
from wattkeeper.data.audit.heads import (
    Head,
    find_bad_head,
    keep_head,
    list_heads,
    newest_head,
    public_key_of,
    sign_head,
)
from wattkeeper.data.audit.models import AuditRecord, SealedHead
from wattkeeper.data.audit.walk import AuditFault, check_chain
from wattkeeper.data.registry.models import Tenant

KEY_FILE = "audit.key"
KEYS_KNOWN = "audit-keys.txt"
COPY = "WATTKEEPER_AUDIT_COPY"
_TAIL_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class ChainProof:
    """What was examined of a chain, and its faults; no fault: whole up to its newest record."""

    records_count: int
    heads_count: int
    faults: tuple[AuditFault, ...]


class Sealer:
    """Seals what was appended since it last looked: one question where nothing was."""

    def __init__(self, data_folder: Path) -> None:
        self._data_folder = data_folder
        self._seen_id = 0

    def seal(self, now: datetime) -> int:
        """
        Return how many heads were made.

        :raises WattkeeperError: as `seal_heads` does
        """
        newest_id = AuditRecord.objects.aggregate(newest=Max("id"))["newest"] or 0
        if newest_id <= self._seen_id:
            return 0
        grown = (
            AuditRecord.objects.filter(id__gt=self._seen_id).values_list("tenant_id", flat=True).distinct()
        )
        count = seal_heads(self._data_folder, now, tenant_ids=sorted(grown))
        self._seen_id = newest_id
        return count


def seal_heads(data_folder: Path, now: datetime, *, tenant_ids: Sequence[int] | None = None) -> int:
    """
    Sign the newest record of each chain that grew since its last head; of all chains unless some are named.

    Nothing is signed where another machine's folder has the key.

    :raises WattkeeperError: ``audit.key-missing`` if there was a key and it is gone, ``audit.heads-cut`` if
        the second place knows newer heads than the database, ``audit.copy-unwritable``
    """
    if not seals_here(data_folder):
        return 0
    if tenant_ids is None:
        tenant_ids = [SYSTEM_TENANT_ID, *Tenant.objects.order_by("id").values_list("id", flat=True)]
    key, path = _private_key(data_folder), copy_of(data_folder)
    copied = _newest_copied(path)
    count, cut = 0, None
    for tenant_id in tenant_ids:
        try:
            count += _seal(key, path, tenant_id, copied.get(tenant_id), now)
        except WattkeeperError as error:  # its chain stays unsealed until somebody has looked
            cut = cut or error
    if cut is not None:
        raise cut
    return count


def _seal(key: Ed25519PrivateKey, path: Path, tenant_id: int, copied: int | None, now: datetime) -> int:
    sequence, record_hash = newest_hash(tenant_id)
    before = newest_head(tenant_id)
    known = before.sequence if before else 0
    if copied is not None and copied > known:
        raise WattkeeperError("audit.heads-cut", tenant_id=tenant_id, sequence=copied, newest=known)
    if copied is not None and copied < known:  # killed between the two places
        _append(path, [head for head in list_heads(tenant_id) if head.sequence > copied])
    if sequence == known:
        return 0
    head = sign_head(
        key, tenant_id=tenant_id, sequence=sequence, record_hash=record_hash, before=before, now=now
    )
    with transaction.atomic():
        keep_head(head)
    _append(path, [head])
    return 1


def seals_here(data_folder: Path) -> bool:
    """Whether heads are signed with this folder's key: it has one, had one, or nobody has signed yet."""
    if (data_folder / KEY_FILE).exists() or known_keys(data_folder):
        return True
    return not SealedHead.objects.exists()


def is_key_lost(data_folder: Path) -> bool:
    """Whether this folder signed once and has no key any more, as after a restore without keys."""
    return bool(known_keys(data_folder)) and not (data_folder / KEY_FILE).exists()


def accept_restored(data_folder: Path) -> None:
    """Make the folder's second place what the restored database holds: a backup copies one after the other.

    A second place elsewhere is left alone: it may know of records that the backup does not have.
    """
    if os.environ.get(COPY) or not known_keys(data_folder):
        return
    path = copy_of(data_folder)
    path.unlink(missing_ok=True)
    for tenant_id in SealedHead.objects.order_by("tenant_id").values_list("tenant_id", flat=True).distinct():
        _append(path, list_heads(tenant_id))


def prove_chain(data_folder: Path, tenant_id: int) -> ChainProof:
    """Recompute a chain and hold it against the signed heads of both places."""
    trusted, own = known_keys(data_folder), list_heads(tenant_id)
    copied = [head for head in read_copy(copy_of(data_folder)) if head.tenant_id == tenant_id]
    faults: list[AuditFault] = []
    signed: dict[int, str] = {}
    for kind, heads in (("head-forged", own), ("copy-forged", copied)):
        if kind == "copy-forged" and heads == own:
            continue
        if (bad := find_bad_head(heads, trusted)) is not None:
            faults.append(AuditFault(kind, bad, bad))
        signed |= {head.sequence: head.record_hash for head in heads if bad is None or head.sequence < bad}
    if copied and (not own or own[-1].sequence < copied[-1].sequence):
        first = own[-1].sequence + 1 if own else 1
        faults.append(AuditFault("heads-cut", first, copied[-1].sequence))
    if own and (not copied or copied[-1].sequence < own[-1].sequence):
        first = copied[-1].sequence + 1 if copied else 1
        faults.append(AuditFault("copy-cut", first, own[-1].sequence))
    records_count, fault = check_chain(tenant_id, signed)
    found = (*faults, fault) if fault is not None else tuple(faults)
    return ChainProof(records_count, len(signed), found)


def new_key(data_folder: Path) -> str:
    """Make a new private key in place of one that is lost, and return its public half."""
    path = data_folder / KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.private_bytes_raw())
        file.flush()
        os.fsync(file.fileno())
    _append_line(_keys_file(data_folder), public_key_of(key))
    fresh.replace(path)
    return public_key_of(key)


def known_keys(data_folder: Path) -> frozenset[str]:
    """Return the public keys that have signed here."""
    path = _keys_file(data_folder)
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


def copy_of(data_folder: Path) -> Path:
    """Return the second place of the heads."""
    given = os.environ.get(COPY, "")
    return Path(given) if given else Places.of(data_folder).heads


def read_copy(path: Path) -> list[Head]:
    """Return the heads of the second place."""
    return list(_parsed(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def _private_key(data_folder: Path) -> Ed25519PrivateKey:
    path = data_folder / KEY_FILE
    if not path.exists():
        if is_key_lost(data_folder):
            raise WattkeeperError("audit.key-missing", file=str(path))
        new_key(data_folder)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def _keys_file(data_folder: Path) -> Path:
    return Places.of(data_folder).heads.with_name(KEYS_KNOWN)


def _newest_copied(path: Path) -> dict[int, int]:
    """Return the newest sequence of each chain in the last part of the second place."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return {head.tenant_id: head.sequence for head in _parsed(lines)}


def _parsed(lines: Iterable[str]) -> Iterator[Head]:
    """Yield the heads of lines; one that can't be read is left out, and the one after it does not follow."""
    for line in lines:
        with suppress(ValueError, TypeError):
            yield Head(**json.loads(line))


def _append(path: Path, heads: Sequence[Head]) -> None:
    for head in heads:
        _append_line(path, json.dumps(asdict(head), sort_keys=True))


def _append_line(path: Path, line: str) -> None:
    """Append a line of its own: one that was cut off before it, by a full disk, stays alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                line = "\n" + line
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WattkeeperError("audit.copy-unwritable", file=str(path), reason=str(error.strerror)) from error
