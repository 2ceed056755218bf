"""Signed heads of audit chains: who changes the database can't make them, and each is kept in two places.

A head says which record was a chain's newest, and follows from the head before. Ed25519 (RFC 8032) over its
canonical JSON; the private key is a file of the data folder that no database holds.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wattkeeper.data.audit.models import SealedHead


@dataclass(frozen=True, slots=True)
class Head:
    """A signed head; hashes, key and signature in hexadecimal, `sealed_at` as ISO 8601 in UTC."""

    tenant_id: int
    sequence: int
    record_hash: str
    sealed_at: str
    previous_hash: str
    public_key: str
    signature: str = ""

    def content(self) -> bytes:
        """Return what is signed."""
        fields = asdict(self)
        del fields["signature"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    def own_hash(self) -> str:
        """Return what the next head names as the one before it."""
        return sha256(self.content() + bytes.fromhex(self.signature)).hexdigest()

    def is_signed(self) -> bool:
        """Whether the signature is that of the named key."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(self.signature), self.content())
        except (InvalidSignature, ValueError):
            return False
        return True


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Return the public half in hexadecimal."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign_head(
    key: Ed25519PrivateKey,
    *,
    tenant_id: int,
    sequence: int,
    record_hash: str,
    before: Head | None,
    now: datetime,
) -> Head:
    """Return the signed head of a chain that follows the head `before`."""
    head = Head(
        tenant_id,
        sequence,
        record_hash,
        now.astimezone(UTC).isoformat(timespec="microseconds"),
        before.own_hash() if before else "",
        public_key_of(key),
    )
    return replace(head, signature=key.sign(head.content()).hex())


def keep_head(head: Head) -> None:
    """Keep a head in the database, inside the caller's transaction."""
    SealedHead.objects.create(**asdict(head) | {"sealed_at": datetime.fromisoformat(head.sealed_at)})


def list_heads(tenant_id: int) -> list[Head]:
    """Return the heads of a chain that the database holds, oldest first."""
    return [_to_head(row) for row in SealedHead.objects.filter(tenant_id=tenant_id).order_by("sequence")]


def newest_head(tenant_id: int) -> Head | None:
    """Return the newest head of a chain in the database."""
    row = SealedHead.objects.filter(tenant_id=tenant_id).order_by("-sequence").first()
    return _to_head(row) if row else None


def find_bad_head(heads: Sequence[Head], trusted: frozenset[str]) -> int | None:
    """Return the sequence of the first head that a trusted key did not sign or that does not follow its
    forerunner, None where all do."""
    before: Head | None = None
    for head in heads:
        follows = head.previous_hash == (before.own_hash() if before else "")
        if head.public_key not in trusted or not follows or not head.is_signed():
            return head.sequence
        before = head
    return None


def _to_head(row: SealedHead) -> Head:
    return Head(
        row.tenant_id,
        row.sequence,
        row.record_hash,
        row.sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        row.previous_hash,
        row.public_key,
        row.signature,
    )
