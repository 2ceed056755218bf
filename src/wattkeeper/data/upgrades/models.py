"""Which schema versions this database has had, and the oldest release that still runs on each."""

from django.db import models


class SchemaVersion(models.Model):
    """One row an upgrade; `oldest_served`: releases whose own schema version is older refuse to run."""

    version = models.PositiveIntegerField(unique=True)
    oldest_served = models.PositiveIntegerField()
    recorded_at = models.DateTimeField()
