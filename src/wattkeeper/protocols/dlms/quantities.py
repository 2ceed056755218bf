"""What an OBIS code measures and what a unit is called (IEC 62056-6-1; units: IEC 62056-6-2 clause 4.3.2)."""

from wattkeeper.protocols.dlms.obis import Obis

UNITS = {
    1: "a",
    2: "mo",
    3: "wk",
    4: "d",
    5: "h",
    6: "min",
    7: "s",
    8: "°",
    9: "°C",
    13: "m³",
    14: "m³",
    19: "l",
    23: "Pa",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    34: "C",
    35: "V",
    44: "Hz",
    45: "1/Wh",
    46: "1/varh",
    255: "",
}

_C_GROUPS = {
    1: "import",
    2: "export",
    3: "reactive_import",
    4: "reactive_export",
    5: "reactive_quadrant_1",
    6: "reactive_quadrant_2",
    7: "reactive_quadrant_3",
    8: "reactive_quadrant_4",
    9: "apparent_import",
    10: "apparent_export",
}
_INSTANT_GROUPS = {11: "current", 12: "voltage", 13: "power_factor", 14: "frequency"}
_D_GROUPS = {4: "demand_average", 6: "demand_maximum", 7: "power", 8: "energy", 29: "energy_interval"}
_OTHERS = {
    (0, 1, 0): "clock",
    (0, 17, 0): "power_limit",
    (0, 42, 0): "logical_device_name",
    (0, 43, 1): "invocation_counter",
    (0, 96, 3): "disconnect_control",
    (0, 96, 13): "consumer_message",
    (0, 96, 14): "active_tariff",
    (1, 0, 2): "list_version",
}


def is_clock(obis: Obis) -> bool:
    """Whether `obis` is the code of a clock, of whatever channel."""
    return (obis.a, obis.c, obis.d, obis.e) == (0, 1, 0, 0)


def quantity_of(obis: Obis) -> str:
    """Return what `obis` measures, in words joined by underscores; empty if it is not in these tables."""
    if obis.a in (0, 1) and obis.c == 96 and obis.d == 1:
        return "serial_number" if obis.e <= 1 else "device_identifier"
    other = _OTHERS.get((obis.a, obis.c, obis.d))
    if other is not None or not (obis.a == 1 or obis.d == 8):
        return other or ""
    phase, group = 0, obis.c
    if 21 <= obis.c <= 80:
        phase, group = (obis.c - 1) // 20, (obis.c - 1) % 20 + 1
    suffix = f"_l{phase}" if phase else f"_t{obis.e}" if obis.d == 8 and obis.e else ""
    if group in _INSTANT_GROUPS:
        return _INSTANT_GROUPS[group] + suffix
    if group in _C_GROUPS and obis.d in _D_GROUPS:
        return f"{_D_GROUPS[obis.d]}_{_C_GROUPS[group]}{suffix}"
    return ""
