"""Voltage, current and power factor that go with a power at an instant, as whole counts."""

from dataclasses import dataclass
from math import isqrt

_NOMINAL_DECIVOLTS = 2300


@dataclass(frozen=True, slots=True)
class Measures:
    """Per phase: decivolts, milliamperes; together: W, var, power factor per mille, 0.01 Hz."""

    decivolts: tuple[int, int, int]
    milliamperes: tuple[int, int, int]
    power_w: int
    reactive_var: int
    factor_permille: int
    centihertz: int


def measure(power_w: int, at_s: int, *, phases: int, salt: int) -> Measures:
    """Return what an instrument at a supply drawing `power_w` shows; `salt` tells supplies apart."""
    shares = (1000, 0, 0) if phases == 1 else _shares(at_s, salt)
    factor = 900 + (salt * 37 + at_s // 900 * 13) % 80
    volts = tuple(_decivolts(at_s, salt + 7 * i, power_w * share // 1000) for i, share in enumerate(shares))
    amperes = tuple(
        power_w * share * 10_000 // (decivolts * factor)
        for share, decivolts in zip(shares, volts, strict=True)
    )
    reactive = power_w * isqrt(1_000_000 - factor * factor) // factor
    centihertz = 4998 + (at_s // 60 * 7 + salt) % 5
    return Measures(_three(volts), _three(amperes), power_w, reactive, factor, centihertz)


def _decivolts(at_s: int, salt: int, power_w: int) -> int:
    wander = (at_s // 60 * 31 + salt * 17) % 61 - 30
    return _NOMINAL_DECIVOLTS + wander - min(power_w // 250, 90)


def _shares(at_s: int, salt: int) -> tuple[int, int, int]:
    first = 333 + (at_s // 900 * 5 + salt) % 21 - 10
    second = 333 + (at_s // 900 * 3 + salt) % 17 - 8
    return first, second, 1000 - first - second


def _three(numbers: tuple[int, ...]) -> tuple[int, int, int]:
    first, second, third = numbers
    return first, second, third
