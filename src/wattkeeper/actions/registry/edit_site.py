"""Edit a site."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, check_fits_days, check_time_zone, own
from wattkeeper.actions.registry.fields import SITE_FIELDS, SiteFields
from wattkeeper.actions.registry.meter_checks import check_log
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Channel, Meter, Series, Site
from wattkeeper.data.virtual.models import Formula


@audited("registry.edit-site")
def edit_site(
    entry: Entry, *, actor: Actor, now: datetime, site_id: int, **fields: Unpack[SiteFields]
) -> None:
    """
    Change the given fields of a site.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``registry.time-zone-unknown``, ``sites.zone-in-use``, ``series.interval-not-kept``,
        ``meters.log-beside-days``
    """
    site = own(Site, site_id, actor=actor)
    entry.subject = f"site:{site.id}"
    if "time_zone" in fields and fields["time_zone"] != site.time_zone:
        _check_zone(site, fields["time_zone"], now)
    entry.detail = change(site, fields, allowed=SITE_FIELDS)


def _check_zone(site: Site, zone: str, now: datetime) -> None:
    """Check that nothing at a site has days yet: values, their sums and bills are those of its zone."""
    check_time_zone(zone)
    is_read = Channel.objects.filter(has_reads=True, meter__installations__usage_point__site=site).exists()
    if is_read or Formula.objects.filter(usage_point__site=site).exists():
        raise WattkeeperError("sites.zone-in-use", site=site.code, zone=site.time_zone)
    for series in Series.objects.filter(usage_point__site=site).select_related("usage_point"):
        check_fits_days(series.interval_s, zone, usage_point=series.usage_point.code)
    for meter in Meter.objects.filter(
        installations__usage_point__site=site, installations__ends_at__isnull=True
    ):
        check_log(meter, zone, at=now)
