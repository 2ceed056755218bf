"""Three sites: a residential compound, a factory and a commercial building; drawn from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.random import Generator, default_rng

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.simulators import faulty, names
from wattkeeper.simulators.load import (
    COMMON_W,
    DAY_S,
    HOME_COUNT,
    LOCAL_OFFSET_S,
    MACHINES_W,
    PULSED_W,
    REST_W,
)
from wattkeeper.simulators.world_model import Channel, Entry, Hidden, Link, Site, World

ZONE = "Asia/Shanghai"
INTERVAL_S = 900
HISTORY_DAYS = 62
MEMORY_DAYS = 64  # a little more than the demonstration looks back
SMALL_HOMES = {"H-01", "H-02", "H-09", "T-1", *faulty.POINTS}  # to whom something happens
COMPOUND_LINK = "compound-concentrator"
FACTORY_LINKS = ("factory-main-1", "factory-main-2")
FACTORY_GATEWAY = "factory-gateway"
BUILDING_GATEWAY = "building-gateway"
PULSE_LINK = "building-pulses"
TARIFFS = {"home": "residential", "factory": "industrial", "building": "commercial"}

_SITES = (
    Site(
        "COMPOUND", "Osmanthus Garden", "桂花苑小区", "RESIDENTIAL", ZONE,
        "88 Guiyuan Road, Suzhou", "苏州市桂苑路88号",
    ),
    Site(
        "FACTORY", "Hengda Precision Plastics", "恒达精密塑业", "INDUSTRIAL", ZONE,
        "16 Xingye Street, Kunshan", "昆山市兴业街16号",
    ),
    Site(
        "BUILDING", "Riverside Plaza", "临江广场", "COMMERCIAL", ZONE,
        "201 Binjiang Avenue, Hangzhou", "杭州市滨江大道201号",
    ),
)  # fmt: skip

_INSTRUMENTS = (
    ("voltage_l1_v", "1/10"),
    ("current_l1_a", "1/1000"),
    ("power_import_w", "1/10"),
    ("power_factor_ratio", "1/1000"),
    ("frequency_hz", "1/100"),
)
_OTHER_PHASES = (
    ("voltage_l2_v", "1/10"),
    ("voltage_l3_v", "1/10"),
    ("current_l2_a", "1/1000"),
    ("current_l3_a", "1/1000"),
)


def build_world(
    *,
    seed: int,
    now: datetime,
    is_check: bool,
    is_mqtt: bool,
    history_days: int = HISTORY_DAYS,
    is_small: bool = False,
) -> World:
    """
    Return the world drawn from `seed`; its meters were installed `history_days` before the day of `now`.

    With `is_small` a quarter of the homes are there, among them all to whom something happens.

    With `is_check` the window of 49 hours from `now`, which must be a local midnight, is lived with faults.

    :raises ValueError: if `now` is naive or, with `is_check`, no local midnight
    """
    now_s = to_seconds(now.replace(microsecond=0))
    midnight_s = (now_s + LOCAL_OFFSET_S) // DAY_S * DAY_S - LOCAL_OFFSET_S
    if is_check and midnight_s != now_s:
        raise ValueError("a check starts at a local midnight")
    draw = _Draw(default_rng((seed, 7)), seed, midnight_s - history_days * DAY_S)
    homes = (home for home in _compound(draw) if not is_small or home.usage_point in SMALL_HOMES)
    world = World(
        seed=seed,
        is_check=is_check,
        is_mqtt=is_mqtt,
        starts_at_s=draw.starts_at_s,
        now_s=now_s,
        window=None,
        memory_days=MEMORY_DAYS,
        sites=_SITES,
        links=_links(is_mqtt),
        entries=(*homes, *_factory(draw), *_building(draw)),
    )
    return faulty.afflict(world)


def _links(is_mqtt: bool) -> tuple[Link, ...]:
    pulses = "MQTT" if is_mqtt else "PULSE_TCP"
    return (
        Link(COMPOUND_LINK, "COMPOUND", "TCP"),
        *(Link(name, "FACTORY", "TCP") for name in FACTORY_LINKS),
        Link(FACTORY_GATEWAY, "FACTORY", "TCP"),
        Link(BUILDING_GATEWAY, "BUILDING", "TCP"),
        Link(PULSE_LINK, "BUILDING", pulses),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    rng: Generator
    seed: int
    starts_at_s: int

    def octets(self, count: int) -> str:
        """Return `count` random octets in hexadecimal."""
        return bytes(self.rng.integers(0, 256, count, dtype=np.uint8)).hex()

    def counts(self, most: int) -> int:
        """Return what a register may show when its meter is installed."""
        return int(self.rng.integers(most // 50, most))


def new_meter_keys(rng: Generator) -> dict[str, str]:
    """Return the password (level 02 and three octets BCD) and operator code of a DL/T 645 meter."""
    digits = "".join(str(d) for d in rng.integers(0, 10, 14))
    return {"password": "02" + digits[:6], "operator": digits[6:]}


def _channels(energy: Channel, *, phases: int, power_step: str, has_relay: bool) -> tuple[Channel, ...]:
    rows = _INSTRUMENTS + (_OTHER_PHASES if phases == 3 else ())
    instruments = (
        Channel(name, power_step if name == "power_import_w" else step, None, False) for name, step in rows
    )
    relay = (Channel("relay_state_code", "1", None, False),) if has_relay else ()
    return (energy, *instruments, *relay)


def _energy(step: str, digits: int) -> Channel:
    return Channel("energy_import_register_kwh", step, digits, True)


def _blank(draw: _Draw) -> Entry:
    """Return what most entries share; every field that differs is replaced."""
    return Entry(
        usage_point="", usage_point_name="", usage_point_name_zh="", usage_point_kind="CUSTOMER", site="",
        customer_name="", customer_name_zh="", meter_serial="", family="", make_model="", address="", link="",
        channels=(), interval_s=INTERVAL_S, keys={}, settings={}, multiplier=(1, 1), parent=None,
        has_relay=False, is_protected=False, power_max_w=12_000, tariff_code="",
        installed_from_s=draw.starts_at_s, hidden=Hidden("", 0),
    )  # fmt: skip


def _compound(draw: _Draw) -> Iterator[Entry]:
    channels = _channels(_energy("1/100", 8), phases=1, power_step="1/10", has_relay=True)
    for index in range(HOME_COUNT):
        building, flat = index // 8 + 1, index % 8 // 2 * 100 + index % 2 + 101
        customer = names.resident(index)
        serial = f"2601{draw.seed % 1000:03d}{index + 1:05d}"
        yield replace(
            _blank(draw), usage_point=f"H-{index + 1:02d}", site="COMPOUND",
            usage_point_name=f"Building {building}, flat {flat}",
            usage_point_name_zh=f"{building}号楼{flat}室",
            customer_name=customer[0], customer_name_zh=customer[1], meter_serial=serial, address=serial,
            family="dlt645_2007",
            make_model="Simulated DDZY-645 single-phase · 模拟单相表", link=COMPOUND_LINK,
            channels=channels, keys=new_meter_keys(draw.rng), settings={"phases": 1}, parent="T-1",
            has_relay=True, tariff_code=TARIFFS["home"],
            hidden=Hidden(f"home-{index + 1}", draw.counts(4_000_000)),
        )  # fmt: skip
    serial = f"2601{draw.seed % 1000:03d}90001"
    yield replace(
        _blank(draw), usage_point="T-1", usage_point_kind="MAIN", site="COMPOUND",
        usage_point_name="Transformer 1, main meter", usage_point_name_zh="1号变压器总表",
        meter_serial=serial,
        address=serial, family="dlt645_2007",
        make_model="Simulated DTZY-645 three-phase · 模拟三相表", link=COMPOUND_LINK,
        channels=_channels(_energy("1/100", 8), phases=3, power_step="1/10", has_relay=False),
        keys=new_meter_keys(draw.rng), settings={"phases": 3}, power_max_w=400_000,
        hidden=Hidden("transformer-loss", draw.counts(20_000_000)),
    )  # fmt: skip


def _factory(draw: _Draw) -> Iterator[Entry]:
    site = _SITES[1]
    for index in range(len(REST_W)):
        serial = f"WTK{draw.seed % 1000:03d}{index + 1:04d}"
        keys = {"guek": draw.octets(16), "gak": draw.octets(16)}
        yield replace(
            _blank(draw), usage_point=f"F-{index + 1}", usage_point_kind="MAIN", site="FACTORY",
            usage_point_name=f"Main supply {index + 1}", usage_point_name_zh=f"{index + 1}号总进线",
            customer_name=site.name, customer_name_zh=site.name_zh, meter_serial=serial, address="1",
            family="dlms_three_phase",
            make_model="Simulated DLMS three-phase · 模拟三相表", link=FACTORY_LINKS[index],
            channels=_channels(_energy("1/1000", 9), phases=3, power_step="1", has_relay=False), keys=keys,
            settings={"client_sap": 1}, multiplier=(200, 5), power_max_w=250_000,
            tariff_code=TARIFFS["factory"], hidden=Hidden(f"rest-{index + 1}", draw.counts(90_000_000)),
        )  # fmt: skip
    for index in range(len(MACHINES_W)):
        name = names.MACHINES[index]
        yield replace(
            _modbus(draw, unit=index + 1, series=2), usage_point=f"F-{index + 11}", usage_point_kind="SUB",
            site="FACTORY", usage_point_name=name[0], usage_point_name_zh=name[1], customer_name=site.name,
            customer_name_zh=site.name_zh, link=FACTORY_GATEWAY, parent=f"F-{index // 3 + 1}",
            power_max_w=60_000, tariff_code=TARIFFS["factory"],
            hidden=Hidden(f"machine-{index + 1}", draw.counts(8_000_000)),
        )  # fmt: skip


def _modbus(draw: _Draw, *, unit: int, series: int) -> Entry:
    return replace(
        _blank(draw), meter_serial=f"MB{series}{draw.seed % 1000:03d}{unit:04d}", address=str(unit),
        family="modbus_energy",
        make_model="Simulated Modbus three-phase · 模拟三相表", settings={"phases": 3},
        channels=_channels(_energy("1/100", 8), phases=3, power_step="1", has_relay=False),
    )  # fmt: skip


def _building(draw: _Draw) -> Iterator[Entry]:
    site = _SITES[2]
    for index in range(len(PULSED_W)):
        name = names.SHOPS[index]
        serial = f"PC{draw.seed % 1000:03d}{index + 1:04d}"
        yield replace(
            _blank(draw), usage_point=f"B-{index + 1:02d}", site="BUILDING",
            usage_point_name=f"Shop {index + 1}, {name[0]}", usage_point_name_zh=f"{index + 1}号铺 {name[1]}",
            customer_name=name[0], customer_name_zh=name[1], meter_serial=serial,
            address=f"{site.code}/{serial}", family="pulse_counter",
            make_model="Simulated pulse counter, 1600 imp/kWh · 模拟脉冲表", link=PULSE_LINK,
            channels=(Channel("pulses_imp", "1", 9, True, imp_per_kwh=1600),), settings={"imp_per_kwh": 1600},
            power_max_w=20_000, tariff_code=TARIFFS["building"],
            hidden=Hidden(f"shop-{index + 1}", draw.counts(40_000_000)),
        )  # fmt: skip
    for index in range(len(COMMON_W)):
        name = names.COMMON[index]
        yield replace(
            _modbus(draw, unit=index + 1, series=3), usage_point=f"B-{index + 21}", usage_point_kind="SUB",
            site="BUILDING", usage_point_name=name[0], usage_point_name_zh=name[1], customer_name=site.name,
            customer_name_zh=site.name_zh, link=BUILDING_GATEWAY, power_max_w=60_000,
            tariff_code=TARIFFS["building"], hidden=Hidden(f"common-{index + 1}", draw.counts(8_000_000)),
        )  # fmt: skip
