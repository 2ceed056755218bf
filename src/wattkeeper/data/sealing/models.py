"""A tenant's keys, wrapped by the master key; and the words that sealed columns are found by."""

from django.db import models


class TenantKey(models.Model):
    """A key of a tenant (0: of nobody). The newest that is not retired seals; every one of them opens.

    The id is random, written into each sealed value, and never used again.
    """

    id = models.BigIntegerField(primary_key=True)
    tenant_id = models.BigIntegerField()
    wrapped = models.BinaryField()
    master_key_id = models.CharField(max_length=16)
    made_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["tenant_id", "made_at"], name="tenant_key_of")]


class SealedWord(models.Model):
    """One word of a sealed text, as a keyed hash: equal words of a tenant's column have equal hashes."""

    tenant_id = models.BigIntegerField()
    table = models.CharField(max_length=40)
    row_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    word = models.CharField(max_length=16)

    class Meta:
        indexes = [
            models.Index(fields=["word"], name="sealed_word_is"),
            models.Index(fields=["table", "row_id"], name="sealed_word_of"),
        ]
