"""Units as files write them, in any case, to a base unit and a power of ten."""

from functools import lru_cache

_BASES = {
    base.lower(): base
    for base in ("Wh", "varh", "VAh", "W", "var", "VA", "V", "A", "Hz", "m3", "therm", "J", "BTU", "W/m2")
}
_PREFIXES = {"": 0, "k": 3, "m": 6}  # in files an m is mega: AEMO writes MWh, none writes milliwatt-hours
_IN_THOUSANDS = ("Wh", "varh", "VAh", "W", "var", "VA")


@lru_cache(maxsize=1024)
def base_unit(text: str) -> tuple[str, int] | None:
    """Return (base unit, power of ten to thousandths of it), or None where the unit is unknown.

    ``kWh`` -> ``("Wh", 6)``: 1 kWh is 10**6 mWh. The power factor (``pf``) and no unit count in thousandths.
    """
    lower = text.strip().lower()
    if lower in ("", "pf", "none"):
        return lower.removeprefix("none"), 3
    if lower in _BASES:
        return _BASES[lower], 3
    for prefix, power in _PREFIXES.items():
        base = _BASES.get(lower[len(prefix) :]) if lower.startswith(prefix) else None
        if base in _IN_THOUSANDS:
            return base, power + 3
    return None


def written_unit(base: str) -> tuple[str, int]:
    """Return how files write a base unit, and the power of ten of its thousandths: ``("kWh", 6)``."""
    return (f"k{base}", 6) if base in _IN_THOUSANDS else (base or "none", 3)
