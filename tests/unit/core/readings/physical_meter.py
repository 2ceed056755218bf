"""Meters as physics has them, in exact fractions: what their dials show, and what truly went through them.

Written apart from the readings code, sharing nothing with it: a load in whole watts by the minute, dials
that count it, and what people do to them.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, pairwise
from random import Random

MILLIWH_PER_WATT_MINUTE = Fraction(1000, 60)


class Load:
    """Power by the minute from `start_s` on; energy is its integral."""

    def __init__(self, start_s: int, power_w: list[int]) -> None:
        self.start_s = start_s
        self.power_w = power_w
        self._total_w = [0, *accumulate(power_w)]

    def energy_milliwh(self, at_s: int) -> Fraction:
        """Return the energy since the start."""
        minute, second = divmod(at_s - self.start_s, 60)
        part = Fraction(self.power_w[minute] * second, 60) if second else 0
        return (self._total_w[minute] + part) * MILLIWH_PER_WATT_MINUTE


@dataclass(frozen=True)
class Dial:
    """A register of a channel: one count is `step_milliwh`, it starts again at `modulus`."""

    channel_id: int
    step_milliwh: Fraction
    modulus: int | None


@dataclass(frozen=True)
class Segment:
    """A stretch in which one dial counted with one ratio from `count` on, not touched by anybody."""

    from_s: int
    to_s: int
    dial: Dial
    ratio: Fraction
    count: Fraction

    @property
    def rate_milliwh(self) -> Fraction:
        """Primary energy of one count."""
        return self.dial.step_milliwh * self.ratio

    def turns_at(self, load: Load, at_s: int) -> Fraction:
        """Return counts since the dial was last set, rollovers not taken off."""
        gone = load.energy_milliwh(at_s) - load.energy_milliwh(self.from_s)
        return self.count + gone / self.rate_milliwh

    def shows(self, load: Load, at_s: int) -> int:
        """Return what the dial shows."""
        whole = self.turns_at(load, at_s) // 1
        return whole if self.dial.modulus is None else whole % self.dial.modulus

    def counted_milliwh(self, load: Load, from_s: int, to_s: int) -> Fraction:
        """Return the energy of the whole counts that the dial made between two instants of the segment."""
        counts = self.turns_at(load, to_s) // 1 - self.turns_at(load, from_s) // 1
        return counts * self.rate_milliwh


@dataclass
class Life:
    """A usage point: its load and the segments of the dials that counted it, in order, without holes."""

    load: Load
    segments: list[Segment] = field(default_factory=list)
    resets: list[tuple[int, int, int, int]] = field(default_factory=list)  # channel, instant, before, after
    exchanges: list[int] = field(default_factory=list)
    changes: list[tuple[int, Fraction]] = field(default_factory=list)  # a ratio and when it began

    @property
    def from_s(self) -> int:
        """When it begins."""
        return self.segments[0].from_s

    @property
    def to_s(self) -> int:
        """When it ends."""
        return self.segments[-1].to_s

    def counted_milliwh(self, from_s: int, to_s: int) -> Fraction:
        """Return the energy that the dials counted between two instants."""
        return sum(
            (
                each.counted_milliwh(self.load, max(from_s, each.from_s), min(to_s, each.to_s))
                for each in self.segments
                if each.from_s < to_s and each.to_s > from_s
            ),
            Fraction(0),
        )

    def true_milliwh(self, from_s: int, to_s: int) -> Fraction:
        """Return the energy that went through, counted or not."""
        return self.load.energy_milliwh(to_s) - self.load.energy_milliwh(from_s)

    def segments_within(self, from_s: int, to_s: int) -> list[Segment]:
        """Return the segments that overlap a span."""
        return [each for each in self.segments if each.from_s < to_s and each.to_s > from_s]


def live(chance: Random, start_s: int, end_s: int, digits: int | None, *, events: dict[str, int]) -> Life:
    """Return a life with so many exchanges, ratio changes and resets at drawn instants.

    Every dial is set to come round soon, and wide enough not to come round twice.
    """
    minutes = (end_s - start_s) // 60
    power_w = [chance.randrange(0, 4000) if chance.random() < 0.8 else 0 for _ in range(minutes)]
    life = Life(Load(start_s, power_w))
    most_milliwh = Fraction(4000 * minutes) * MILLIWH_PER_WATT_MINUTE
    cuts = sorted(
        (chance.randrange(start_s + 1, end_s), kind) for kind, count in events.items() for _ in range(count)
    )
    cuts = [(at_s, kind) for (at_s, kind), later in pairwise([*cuts, (end_s, "")]) if later[0] - at_s > 1800]
    ratio = chance.choice((Fraction(1), Fraction(40), Fraction(100, 3)))
    life.changes.append((start_s, ratio))
    dial = _new_dial(chance, 1, digits, most_milliwh / ratio)
    count = _first_count(chance, dial)
    reached_s = start_s
    for at_s, kind in [*cuts, (end_s, "")]:
        segment = Segment(reached_s, at_s, dial, ratio, count)
        life.segments.append(segment)
        count = segment.turns_at(life.load, at_s)
        reached_s = at_s
        if kind == "exchange":
            dial = _new_dial(chance, dial.channel_id + 1, digits, most_milliwh / ratio)
            count = _first_count(chance, dial)
            life.exchanges.append(at_s)
        elif kind == "ratio":
            ratio = ratio * chance.choice((2, Fraction(3, 2), Fraction(1, 4)))
            life.changes.append((at_s, ratio))
        elif kind == "reset":
            before, after = segment.shows(life.load, at_s), chance.choice((0, 0, 7, 4321))
            life.resets.append((dial.channel_id, at_s, before, after))
            count = Fraction(after)
    return life


def _new_dial(chance: Random, channel_id: int, digits: int | None, most_milliwh: Fraction) -> Dial:
    modulus = None if digits is None else 10**digits
    narrowest = most_milliwh * 40 / (modulus or 10**6)
    step = chance.choice((Fraction(10_000), Fraction(1000), Fraction(625_000), Fraction(10**6, 3)))
    while step < narrowest:
        step *= 10
    return Dial(channel_id, step, modulus)


def _first_count(chance: Random, dial: Dial) -> Fraction:
    top = dial.modulus or 10**6
    whole = top - 1 - chance.randrange(0, 60) if chance.random() < 0.7 else chance.randrange(0, top)
    return whole + Fraction(chance.randrange(0, 100), 100)


@dataclass(frozen=True)
class Clock:
    """A device's clock: `offset_s` fast until it was set at `set_at_s`; from then on it is right."""

    offset_s: int
    set_at_s: int

    def stamps(self, from_s: int, to_s: int, interval_s: int) -> list[tuple[int, int, bool]]:
        """Return stamp and true instant of each entry, and whether it is the first of the clock as set."""
        first = -(-(from_s + self.offset_s) // interval_s) * interval_s
        fast = [(stamp, stamp - self.offset_s, False) for stamp in range(first, to_s + 10**5, interval_s)]
        fast = [entry for entry in fast if from_s <= entry[1] < self.set_at_s]
        next_s = -(-self.set_at_s // interval_s) * interval_s
        right = [(stamp, stamp, stamp == next_s) for stamp in range(next_s, to_s + 1, interval_s)]
        return fast + right
