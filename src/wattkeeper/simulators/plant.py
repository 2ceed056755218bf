"""The plant: every supply and meter of a world, wired together, and what people do at it."""

from dataclasses import dataclass, field
from fractions import Fraction

from wattkeeper.simulators.load import Loads
from wattkeeper.simulators.measures import Measures, measure
from wattkeeper.simulators.registers import Registers
from wattkeeper.simulators.supply import Supply
from wattkeeper.simulators.world_model import Entry, World

MILLIWH_PER_KWH = 1_000_000


@dataclass(slots=True, eq=False)
class Meter:
    """One meter: its registers, its switch, and whether it answers."""

    entry: Entry
    registers: Registers
    salt: int
    is_stuck: bool = False
    is_command_open: bool = False
    requests_count: int = 0
    relay_events: list[tuple[int, str]] = field(default_factory=list)

    def answers(self, now_s: int) -> bool:
        """Whether it is installed and alive."""
        dead_s = self.entry.hidden.dead_from_s
        return self.registers.is_installed(now_s) and (dead_s is None or now_s < dead_s)

    def is_switch_open(self, now_s: int) -> bool:
        """Whether the supply is cut at this meter."""
        return self.registers.supply.is_open(now_s)

    def disconnect(self, now_s: int) -> None:
        """Open the switch, unless it sticks."""
        self.relay_events.append((now_s, "disconnect"))
        self.is_command_open = True
        if not self.is_stuck:
            self.registers.supply.open_switch(now_s)

    def arm(self, now_s: int) -> None:
        """Allow the person at the meter to close the switch."""
        self.relay_events.append((now_s, "arm"))
        self.is_command_open = False

    def close(self, now_s: int) -> None:
        """Close the switch at once."""
        self.relay_events.append((now_s, "close"))
        self.is_command_open = False
        if not self.is_stuck:
            self.registers.supply.close_switch(now_s)

    def press(self, now_s: int) -> bool:
        """Do what the button does: close an armed switch; return whether it closed."""
        if self.is_command_open or not self.is_switch_open(now_s):
            return False
        self.close(now_s)
        return True

    def relay_code(self, now_s: int) -> int:
        """Return 0 disconnected, 1 connected, 2 ready for reconnection."""
        if not self.is_switch_open(now_s):
            return 1
        return 0 if self.is_command_open else 2

    def measures(self, now_s: int) -> Measures:
        """Return what its instruments show, secondary."""
        phases = int(self.entry.settings.get("phases", 3))
        return measure(int(self.registers.power_w(now_s)), now_s, phases=phases, salt=self.salt)


@dataclass(slots=True, eq=False)
class Plant:
    """Meters by serial number; `by_point`: the meters of a usage point, oldest first."""

    world: World
    loads: Loads
    meters: dict[str, Meter]
    by_point: dict[str, list[Meter]]

    @classmethod
    def build(cls, world: World, *, stuck: frozenset[str] = frozenset()) -> "Plant":
        """Return the plant of `world`; the switches of the meters `stuck` acknowledge and do not move."""
        loads = Loads(seed=world.seed, starts_at_s=world.starts_at_s)
        supplies = _build_supplies(world, loads)
        plant = cls(world, loads, {}, {})
        for entry in (*world.entries, *(exchange.entry for exchange in world.exchanges)):
            meter = Meter(entry, _build_registers(world, entry, supplies), salt=len(plant.meters))
            meter.is_stuck = entry.meter_serial in stuck
            plant.meters[entry.meter_serial] = meter
            plant.by_point.setdefault(entry.usage_point, []).append(meter)
        return plant

    def on_link(self, link: str) -> list[Meter]:
        """Return every meter of a link, also such as are yet to come or have gone."""
        return [meter for meter in self.meters.values() if meter.entry.link == link]


def _build_supplies(world: World, loads: Loads) -> dict[str, Supply]:
    """Return the supply of each usage point; a parent carries its own load and those of its children."""
    supplies = {e.usage_point: Supply(loads, (loads.row(e.hidden.load),)) for e in world.entries}
    for point in supplies:
        children = (e.usage_point for e in world.entries if e.parent == point)
        supplies[point].below = tuple(supplies[child] for child in children)
    return supplies


def _build_registers(world: World, entry: Entry, supplies: dict[str, Supply]) -> Registers:
    ratios = [(entry.installed_from_s, Fraction(*entry.multiplier))]
    ratios += [
        (c.at_s, Fraction(*c.multiplier)) for c in world.ratio_changes if c.usage_point == entry.usage_point
    ]
    removed = [x.at_s for x in world.exchanges if x.removed_serial == entry.meter_serial]
    return Registers(
        supply=supplies[entry.usage_point],
        step_milliwh=step_milliwh(entry),
        digits=entry.channels[0].register_digits or 18,
        start_counts=entry.hidden.start_counts,
        installed_s=entry.installed_from_s,
        ratios=ratios,
        removed_s=removed[0] if removed else None,
        clock_offset_s=entry.hidden.clock_offset_s,
        interval_s=entry.interval_s,
        memory_days=world.memory_days,
        holes=entry.hidden.holes,
    )


def step_milliwh(entry: Entry) -> Fraction:
    """Return the secondary energy of one count of the first channel, the energy register."""
    channel = entry.channels[0]
    step_kwh = Fraction(channel.step) / (channel.imp_per_kwh or 1)
    return step_kwh * MILLIWH_PER_KWH
