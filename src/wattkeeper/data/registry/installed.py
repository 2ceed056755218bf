"""When meters were installed, as it was told by an instant: each change keeps what was told before it."""

from datetime import datetime

from wattkeeper.data.registry.models import Installation, InstallationPast
from wattkeeper.data.registry.owned import owned_by


def keep_told(installation: Installation, *, now: datetime) -> None:
    """Keep over what time an installation, as it was read, was told to be: it is about to change."""
    InstallationPast.objects.create(
        installation=installation,
        until_at=now,
        starts_at=installation.starts_at,
        ends_at=installation.ends_at,
    )


def told_otherwise(tenant_id: int, as_of: datetime) -> dict[int, InstallationPast]:
    """Return over what time installations were told to be as of an instant, of those told otherwise since."""
    later = InstallationPast.objects.filter(
        owned_by("installation__tenant_id", tenant_id),
        until_at__gt=as_of,
        installation__recorded_at__lte=as_of,
    )
    rows = later.select_related("installation").order_by("-until_at", "-id")
    return {row.installation_id: row for row in rows}
