"""Writes a simulated world into the registry with the same verbs an operator uses."""

from dataclasses import dataclass, field
from datetime import datetime, time
from fractions import Fraction
from typing import Any

from django.db import transaction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
from wattkeeper.actions.registry.add_link import add_link
from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.channels import ChannelSpec
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.data.billing.models import TariffVersion
from wattkeeper.interfaces.cli.demo.tariffs import TARIFFS
from wattkeeper.simulators.world import MEMORY_DAYS
from wattkeeper.simulators.world_model import Entry, World

TARIFF_NAMES = {
    "residential": "Homes, tiers and two rates · 居民阶梯峰谷",
    "industrial": "Industry, four rates by season · 工业分时",
    "commercial": "Shops, two blocks · 商业两段",
}


@dataclass(slots=True)
class Provisioned:
    """Ids of what was written, by the world's own names."""

    link_ids: dict[str, int] = field(default_factory=dict)
    point_ids: dict[str, int] = field(default_factory=dict)
    meter_ids: dict[str, int] = field(default_factory=dict)
    site_ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the head-end is to treat the lines."""

    timeout_ms: int
    poll_s: int


def provision(
    world: World,
    ready: dict[str, Any],
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    pace: Pace,
    may_cut_any_time: bool,
) -> Provisioned:
    """Write sites, links, tariffs, usage points and meters of `world` into the registry, all or nothing."""
    done = Provisioned()
    who: dict[str, Any] = {"actor": actor, "now": now}
    with transaction.atomic():
        _add_sites(world, done, who)
        _add_links(world, ready, done, who, pace)
        tariff_ids = _add_tariffs(who)
        for entry in world.entries:
            _add_point(entry, done, who, tariff_ids)
            meter_id = add_entry_meter(entry, done, who, services)
            install_meter(
                **who,
                services=services,
                meter_id=meter_id,
                usage_point_id=done.point_ids[entry.usage_point],
                at=from_seconds(entry.installed_from_s),
            )
        for entry in world.entries:
            if entry.parent is not None:
                set_topology(
                    **who,
                    child_id=done.point_ids[entry.usage_point],
                    parent_id=done.point_ids[entry.parent],
                    at=from_seconds(entry.installed_from_s),
                )
        if may_cut_any_time:
            set_cut_policy(**who, opens=time(0), closes=time.max, is_any_day=True)
    return done


def _add_sites(world: World, done: Provisioned, who: dict[str, Any]) -> None:
    for site in world.sites:
        done.site_ids[site.code] = add_site(
            **who,
            code=site.code,
            name=f"{site.name} · {site.name_zh}",
            kind=site.kind,
            time_zone=site.time_zone,
            address=f"{site.address} · {site.address_zh}",
        )


def _add_links(
    world: World, ready: dict[str, Any], done: Provisioned, who: dict[str, Any], pace: Pace
) -> None:
    for link in world.links:
        told = ready["links"][link.name]
        scheme = "mqtt://" if told["transport"] == "MQTT" else ""
        done.link_ids[link.name] = add_link(
            **who,
            site_id=done.site_ids[link.site],
            name=link.name,
            transport=told["transport"],
            endpoint=f"{scheme}{told['host']}:{told['port']}",
            timeout_ms=pace.timeout_ms,
            retries_count=2,
            poll_s=pace.poll_s,
        )


def _add_tariffs(who: dict[str, Any]) -> dict[str, int]:
    ids = {}
    for code, document in TARIFFS.items():
        version_id = add_tariff_version(**who, name=TARIFF_NAMES[code], document=document)
        ids[code] = TariffVersion.objects.get(id=version_id).tariff_id
    return ids


def _add_point(entry: Entry, done: Provisioned, who: dict[str, Any], tariff_ids: dict[str, int]) -> None:
    at = from_seconds(entry.installed_from_s)
    customer = f"{entry.customer_name} · {entry.customer_name_zh}" if entry.customer_name else ""
    point_id = add_usage_point(
        **who,
        site_id=done.site_ids[entry.site],
        code=entry.usage_point,
        name=f"{entry.usage_point_name} · {entry.usage_point_name_zh}",
        kind=entry.usage_point_kind,
        customer_name=customer,
        is_protected=entry.is_protected,
        power_max_w=entry.power_max_w,
    )
    done.point_ids[entry.usage_point] = point_id
    if entry.multiplier != (1, 1):
        numerator, denominator = entry.multiplier
        change_multiplier(**who, usage_point_id=point_id, at=at, numerator=numerator, denominator=denominator)
    if entry.tariff_code:
        set_contract(**who, usage_point_id=point_id, tariff_id=tariff_ids[entry.tariff_code], at=at)


def add_entry_meter(entry: Entry, done: Provisioned, who: dict[str, Any], services: Services) -> int:
    """Put the entry's meter into stock and return its id."""
    meter_id = add_meter(
        **who,
        services=services,
        site_id=done.site_ids[entry.site],
        serial_number=entry.meter_serial,
        make_model=entry.make_model,
        family=entry.family,
        link_id=done.link_ids[entry.link],
        address=entry.address,
        interval_s=entry.interval_s,
        memory_days=MEMORY_DAYS,
        has_relay=entry.has_relay,
        settings=dict(entry.settings),
        channels=[
            ChannelSpec(
                channel.reading_type, Fraction(channel.step), channel.register_digits, channel.is_profiled
            )
            for channel in entry.channels
        ],
        keys={name: bytes.fromhex(secret) for name, secret in entry.keys.items()},
    )
    done.meter_ids[entry.meter_serial] = meter_id
    return meter_id
