"""Units as files write them, in any case, to a base unit and a power of ten."""

_BASES = {base.lower(): base for base in ("Wh", "varh", "VAh", "W", "var", "VA", "V", "A")}
_PREFIXES = {"": 0, "k": 3, "m": 6}  # in files an m is mega: AEMO writes MWh, none writes milliwatt-hours


def base_unit(text: str) -> tuple[str, int] | None:
    """Return (base unit, power of ten to thousandths of it), or None where the unit is unknown.

    ``kWh`` -> ``("Wh", 6)``: 1 kWh is 10**6 mWh. The power factor (``pf``) and no unit count in thousandths.
    """
    lower = text.strip().lower()
    if lower in ("", "pf"):
        return lower, 3
    for prefix, power in _PREFIXES.items():
        if lower.startswith(prefix) and lower[len(prefix) :] in _BASES:
            return _BASES[lower[len(prefix) :]], power + 3
    return None
