"""The audit chain: one row a verb, each holding the hash of the one before."""

from django.db import models


class AuditRecord(models.Model):
    """`hash` = SHA-256(previous hash, canonical JSON of the record)."""

    tenant_id = models.BigIntegerField()
    sequence = models.BigIntegerField()
    recorded_at = models.DateTimeField()
    actor = models.CharField(max_length=160)
    verb = models.CharField(max_length=80)
    subject = models.CharField(max_length=120)
    detail = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "sequence"], name="audit_sequence")]
