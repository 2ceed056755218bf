"""What goes wrong in a world: planned from the start, lived when its time comes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wattkeeper.simulators.load import DAY_S
from wattkeeper.simulators.plant import Plant
from wattkeeper.simulators.world_model import Entry, Exchange, Link, RatioChange, World

HOUR_S = 3600
WINDOW_S = 49 * HOUR_S
ROLLOVER_POINT = "H-07"
EXCHANGE_POINT = "H-12"
SLOW_POINT = "H-19"
DEAD_POINT = "H-23"
PROTECTED_POINTS = ("H-05", "H-31")
RATIO_POINT = "F-1"
HOLE_POINT = "F-14"
CUT_POINT = "H-03"
POINTS = (CUT_POINT, ROLLOVER_POINT, EXCHANGE_POINT, SLOW_POINT, DEAD_POINT, *PROTECTED_POINTS)

SLOW_S = -420
FAULTS_PER_MILLE = 4
LIGHT_FAULTS_PER_MILLE = 1
HOLE_RECORDS = 4


def afflict(world: World) -> World:
    """Return `world` with protected customers and the faults of a check or of an ordinary demo."""
    world = _change(world, SLOW_POINT, lambda e: replace(e, hidden=replace(e.hidden, clock_offset_s=SLOW_S)))
    for point in PROTECTED_POINTS:
        world = _change(world, point, lambda e: replace(e, is_protected=True))
    return _afflict_check(world) if world.is_check else _afflict_demo(world)


def _afflict_demo(world: World) -> World:
    links = tuple(_with_faults(link, LIGHT_FAULTS_PER_MILLE) for link in world.links)
    world = replace(world, links=links, notes={"slow": SLOW_POINT, "dead": DEAD_POINT})
    return _change(world, DEAD_POINT, lambda e: replace(e, hidden=replace(e.hidden, dead_from_s=world.now_s)))


def _afflict_check(world: World) -> World:
    start_s = world.now_s
    outage = (start_s + 13 * HOUR_S, start_s + 19 * HOUR_S)
    hole_s = start_s + DAY_S + 3 * HOUR_S
    hole = (hole_s, hole_s + HOLE_RECORDS * 900)
    dead_s = start_s + 10 * HOUR_S + 14 * 60  # its last record is that of ten o'clock
    links = tuple(_with_faults(link, FAULTS_PER_MILLE) for link in world.links)
    world = replace(
        world,
        window=(start_s, start_s + WINDOW_S),
        links=tuple(replace(link, outages=(outage,)) if _is_compound(link) else link for link in links),
        ratio_changes=(RatioChange(start_s + DAY_S + 12 * HOUR_S, RATIO_POINT, (300, 5)),),
        notes={
            "slow": SLOW_POINT,
            "dead": DEAD_POINT,
            "rollover": ROLLOVER_POINT,
            "exchange": EXCHANGE_POINT,
            "ratio": RATIO_POINT,
            "hole": HOLE_POINT,
        },
    )
    world = _change(world, DEAD_POINT, lambda e: replace(e, hidden=replace(e.hidden, dead_from_s=dead_s)))
    world = _change(world, HOLE_POINT, lambda e: replace(e, hidden=replace(e.hidden, holes=(hole,))))
    world = _roll_over_at(world, (outage[0] + outage[1]) // 2)
    return _exchange_at(world, start_s + DAY_S + 10 * HOUR_S + 7 * 60)


def _is_compound(link: Link) -> bool:
    return link.site == "COMPOUND"


def _with_faults(link: Link, per_mille: int) -> Link:
    return link if link.transport == "MQTT" else replace(link, faults_per_mille=per_mille)


def _change(world: World, point: str, change: Callable[[Entry], Entry]) -> World:
    entries = tuple(change(e) if e.usage_point == point else e for e in world.entries)
    return replace(world, entries=entries)


def _roll_over_at(world: World, at_s: int) -> World:
    """Start the register so that it passes its last digit at `at_s`."""
    entry = next(e for e in world.entries if e.usage_point == ROLLOVER_POINT)
    registers = Plant.build(world).meters[entry.meter_serial].registers
    advance = int(registers.counts(np.array([at_s], dtype=np.int64))[0]) - entry.hidden.start_counts
    start = 10**registers.digits - advance
    return _change(world, ROLLOVER_POINT, lambda e: replace(e, hidden=replace(e.hidden, start_counts=start)))


def _exchange_at(world: World, at_s: int) -> World:
    old = next(e for e in world.entries if e.usage_point == EXCHANGE_POINT)
    serial = f"{int(old.meter_serial) + 50_000:012d}"
    keys = {"password": "02" + old.keys["operator"][:6], "operator": old.keys["operator"][::-1]}
    new = replace(
        old,
        meter_serial=serial,
        address=serial,
        keys=keys,
        installed_from_s=at_s,
        hidden=replace(old.hidden, start_counts=1_234 + world.seed % 997),
    )
    return replace(world, exchanges=(Exchange(at_s, EXCHANGE_POINT, old.meter_serial, new),))
