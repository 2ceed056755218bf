"""The audit chain: one row a verb, each holding the hash of the one before; and its signed heads."""

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
        indexes = [
            models.Index(fields=["verb", "recorded_at"], name="audit_verb_at"),
            models.Index(fields=["verb", "subject"], name="audit_verb_subject"),
        ]


class SealedHead(models.Model):
    """The newest record of a chain at some moment, signed; `previous_hash` is that of the head before."""

    tenant_id = models.BigIntegerField()
    sequence = models.BigIntegerField()
    record_hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()
    previous_hash = models.CharField(max_length=64)
    public_key = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "sequence"], name="audit_head_sequence")]
