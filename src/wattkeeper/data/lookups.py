"""Ids of things by the names people use for them."""

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User
from wattkeeper.data.billing.models import Tariff
from wattkeeper.data.collection.models import Link
from wattkeeper.data.registry.models import Meter, Series, Site, Tenant, UsagePoint
from wattkeeper.data.vee.models import SeriesGroup, StoredRuleSet

_Named = Site | UsagePoint | Meter | Link | Tariff | User | Series | StoredRuleSet | SeriesGroup


def find_site_id(tenant_id: int, code: str) -> int:
    """Return the site of this code.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("site", code, Site.objects.filter(tenant_id=tenant_id, code=code).first())


def find_usage_point_id(tenant_id: int, code: str) -> int:
    """Return the usage point of this code.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("usagepoint", code, UsagePoint.objects.filter(tenant_id=tenant_id, code=code).first())


def find_meter_id(tenant_id: int, serial_number: str) -> int:
    """Return the meter of this serial number.

    :raises WattkeeperError: ``registry.not-found``
    """
    row = Meter.objects.filter(tenant_id=tenant_id, serial_number=serial_number).first()
    return _found("meter", serial_number, row)


def find_link_id(tenant_id: int, name: str) -> int:
    """Return the link of this name.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("link", name, Link.objects.filter(tenant_id=tenant_id, name=name).first())


def find_tariff_id(tenant_id: int, code: str) -> int:
    """Return the tariff of this code.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("tariff", code, Tariff.objects.filter(tenant_id=tenant_id, code=code).first())


def find_series_ids(tenant_id: int, usage_point_code: str) -> list[int]:
    """Return the series of a usage point.

    :raises WattkeeperError: ``registry.not-found``
    """
    point_id = find_usage_point_id(tenant_id, usage_point_code)
    return list(Series.objects.filter(usage_point_id=point_id).order_by("id").values_list("id", flat=True))


def find_series_id(tenant_id: int, usage_point_code: str, quantity: str) -> int:
    """Return one quantity's series of a usage point.

    :raises WattkeeperError: ``registry.not-found``
    """
    point_id = find_usage_point_id(tenant_id, usage_point_code)
    row = Series.objects.filter(usage_point_id=point_id, quantity=quantity).first()
    return _found("series", f"{usage_point_code} {quantity}", row)


def find_rule_set_id(tenant_id: int, code: str) -> int:
    """Return the rule set of this code.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("rule-set", code, StoredRuleSet.objects.filter(tenant_id=tenant_id, code=code).first())


def find_series_group_id(tenant_id: int, code: str) -> int:
    """Return the group of series of this code.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("series-group", code, SeriesGroup.objects.filter(tenant_id=tenant_id, code=code).first())


def find_user_id(tenant_id: int, username: str) -> int:
    """Return the person of this user name.

    :raises WattkeeperError: ``registry.not-found``
    """
    return _found("user", username, User.objects.filter(tenant_id=tenant_id, username=username).first())


def find_tenant_id(name: str | None) -> int:
    """Return the tenant of this name, or the only one.

    :raises WattkeeperError: ``registry.tenant-unknown``, ``registry.tenant-needed`` where there are several,
        ``registry.no-tenant`` where there is none
    """
    tenants = dict(Tenant.objects.order_by("name").values_list("name", "id"))
    known = ", ".join(tenants)
    if name is None and len(tenants) == 1:
        return next(iter(tenants.values()))
    if not tenants:
        raise WattkeeperError("registry.no-tenant")
    if name is None:
        raise WattkeeperError("registry.tenant-needed", known=known)
    if name not in tenants:
        raise WattkeeperError("registry.tenant-unknown", name=name, known=known)
    return tenants[name]


def _found(kind: str, name: str, row: _Named | None) -> int:
    if row is None:
        raise WattkeeperError("registry.not-found", kind=kind, id=name)
    return row.id
