"""When meters were installed, as it was told by an instant: each change keeps what was told before it."""

from datetime import datetime

from wattkeeper.data.registry.models import Installation, InstallationPast


def keep_told(installation: Installation, *, now: datetime) -> None:
    """Keep over what time an installation, as it was read, was told to be: it is about to change."""
    InstallationPast.objects.create(
        installation=installation,
        until_at=now,
        starts_at=installation.starts_at,
        ends_at=installation.ends_at,
    )


def told_otherwise(tenant_id: int, as_of: datetime) -> dict[int, InstallationPast]:
    """Return over what time installations were told to be as of an instant, of those told otherwise since.

    Those of all tenants are asked for: by the tenant SQLite would go over all of its installations.
    """
    later = InstallationPast.objects.filter(until_at__gt=as_of).select_related("installation")
    return {
        row.installation_id: row
        for row in later.order_by("-until_at", "-id")
        if row.installation.tenant_id == tenant_id and row.installation.recorded_at <= as_of
    }
