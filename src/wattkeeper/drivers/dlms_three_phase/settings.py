"""What the driver is told: validated once, before any byte goes out."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.obis import Obis as ObisText
from wattkeeper.core.kernel.reading_types import READING_TYPES, ReadingType
from wattkeeper.drivers.api import DeviceConfig
from wattkeeper.protocols.dlms.acse import Mechanism
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.security import Keys

_MECHANISMS = {"gmac": Mechanism.HLS_GMAC, "lls": Mechanism.LLS, "none": Mechanism.NONE}
DEFAULT_SYSTEM_TITLE = b"WTK\x00\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Register:
    """One row of registers.toml; `scaler_unit` None is read from the meter."""

    class_id: int
    obis: Obis
    reading_type: ReadingType
    scaler_unit: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The driver's settings and secrets, checked."""

    client_sap: int
    server_sap: int
    mechanism: Mechanism
    system_title: bytes
    keys: Keys = field(repr=False)
    password: bytes = field(repr=False)
    zone: ZoneInfo
    is_deviation_inverted: bool
    is_counter_read: bool


def load_registers() -> tuple[Register, ...]:
    """Return the rows of registers.toml."""
    text = files("wattkeeper.drivers.dlms_three_phase").joinpath("registers.toml").read_text("utf-8")
    return tuple(_register(row) for row in tomllib.loads(text)["register"])


def _register(row: Mapping[str, object]) -> Register:
    pair = row["scaler_unit"]
    scaler_unit = (int(pair[0]), int(pair[1])) if isinstance(pair, list) else None
    obis = Obis.of(ObisText.parse(str(row["obis"])))
    return Register(int(str(row["class"])), obis, READING_TYPES[str(row["reading_type"])], scaler_unit)


def read_settings(config: DeviceConfig) -> Settings:
    """
    Return the checked settings of `config`.

    :raises WattkeeperError: ``drivers.bad-setting`` naming the one that is wrong
    """
    mechanism = _MECHANISMS.get(str(config.settings.get("auth", "gmac")))
    if mechanism is None:
        raise _bad("auth")
    keys = Keys(config.secrets.get("guek", b""), config.secrets.get("gak", b""))
    if mechanism is Mechanism.HLS_GMAC and len(keys.block) != 16:
        raise _bad("guek")
    if mechanism is Mechanism.HLS_GMAC and len(keys.authentication) != 16:
        raise _bad("gak")
    if mechanism is Mechanism.HLS_GMAC and config.reserve_counters is None:
        raise _bad("reserve_counters")
    return Settings(
        client_sap=_sap(config.settings.get("client_sap", 1), "client_sap"),
        server_sap=_sap(config.settings.get("server_sap", config.address or 1), "server_sap"),
        mechanism=mechanism,
        system_title=_system_title(config.settings.get("system_title")),
        keys=keys,
        password=config.secrets.get("password", b""),
        zone=_zone(config.time_zone),
        is_deviation_inverted=config.settings.get("is_deviation_inverted", False) is True,
        is_counter_read=config.settings.get("is_counter_read", False) is True,
    )


def _bad(name: str) -> WattkeeperError:
    return WattkeeperError("drivers.bad-setting", name=name)


def _sap(value: object, name: str) -> int:
    text = str(value)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 0xFFFF:
        raise _bad(name)
    return int(text)


def _system_title(value: object) -> bytes:
    """Return the eight bytes given as 16 hexadecimal digits; three letters of the maker come first."""
    if value is None:
        return DEFAULT_SYSTEM_TITLE
    try:
        title = bytes.fromhex(str(value))
    except ValueError:
        raise _bad("system_title") from None
    if len(title) != 8:
        raise _bad("system_title")
    return title


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise _bad("time_zone") from None
