"""What a simulated world consists of, as plain records that go into a JSON file and back.

Instants are UTC seconds. What only the simulators know (start counts, clock errors, faults) is under
`hidden`; everything else is what an operator would write into the registry.
"""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Channel:
    """`step`: the unit of one count as a fraction in text; `imp_per_kwh` only for pulses."""

    reading_type: str
    step: str
    register_digits: int | None
    is_profiled: bool
    imp_per_kwh: int | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """What nobody is told. The meter's clock shows true time + `clock_offset_s`.

    `holes`: pairs [from, to) of profile stamps that the memory lacks; `dead_from_s`: silent ever after.
    """

    load: str
    start_counts: int
    clock_offset_s: int = 0
    dead_from_s: int | None = None
    holes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One meter at one usage point; `usage_point_kind`: CUSTOMER, MAIN or SUB."""

    usage_point: str
    usage_point_name: str
    usage_point_name_zh: str
    usage_point_kind: str
    site: str
    customer_name: str
    customer_name_zh: str
    meter_serial: str
    family: str
    make_model: str
    address: str
    link: str
    channels: tuple[Channel, ...]
    interval_s: int
    keys: dict[str, str]
    settings: dict[str, int | str]
    multiplier: tuple[int, int]
    parent: str | None
    has_relay: bool
    is_protected: bool
    power_max_w: int
    tariff_code: str
    installed_from_s: int
    hidden: Hidden


@dataclass(frozen=True, slots=True)
class Site:
    """`kind`: RESIDENTIAL, INDUSTRIAL or COMMERCIAL."""

    code: str
    name: str
    name_zh: str
    kind: str
    time_zone: str
    address: str
    address_zh: str


@dataclass(frozen=True, slots=True)
class Link:
    """`transport`: TCP, MQTT or PULSE_TCP. `faults_per_mille`: answers lost, doubled, damaged, each."""

    name: str
    site: str
    transport: str
    faults_per_mille: int = 0
    outages: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """At `at_s` the meter `removed_serial` is taken away and the one of `entry` put in its place."""

    at_s: int
    usage_point: str
    removed_serial: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class RatioChange:
    """From `at_s` on the transformers of the usage point have another ratio (numerator, denominator)."""

    at_s: int
    usage_point: str
    multiplier: tuple[int, int]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is built; `window`: the lived seconds [from, to), None by the wall clock."""

    seed: int
    is_check: bool
    is_mqtt: bool
    starts_at_s: int
    now_s: int
    window: tuple[int, int] | None
    memory_days: int
    sites: tuple[Site, ...]
    links: tuple[Link, ...]
    entries: tuple[Entry, ...]
    exchanges: tuple[Exchange, ...] = ()
    ratio_changes: tuple[RatioChange, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the world as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "World":
        """
        Return the world of JSON text.

        :raises ValueError: if it is not one
        """
        try:
            world = _revive(cls, json.loads(text))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a world: {error}") from error
        if not isinstance(world, World):
            raise ValueError("not a world")
        return world

    @classmethod
    def load(cls, path: Path) -> "World":
        """Return the world in the file `path`."""
        return cls.from_json(path.read_text(encoding="utf-8"))


def _revive(kind: Any, plain: Any) -> Any:
    """Return `plain` JSON as an instance of the type `kind`."""
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(
            **{f.name: _revive(hints[f.name], plain[f.name]) for f in fields(kind) if f.name in plain}
        )
    if isinstance(kind, GenericAlias) and get_origin(kind) is tuple:
        return _revive_tuple(get_args(kind), plain)
    if (
        plain is not None
        and (union := [a for a in get_args(kind) if a is not type(None)])
        and type(None) in get_args(kind)
    ):
        return _revive(union[0], plain)
    return plain


def _revive_tuple(arguments: tuple[Any, ...], plain: list[Any]) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_revive(arguments[0], item) for item in plain)
    return tuple(_revive(kind, item) for kind, item in zip(arguments, plain, strict=True))
