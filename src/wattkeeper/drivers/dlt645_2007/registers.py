"""The register table `registers.toml` as rows."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """What a value becomes."""

    reading_type: str
    scale: Decimal


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One request of `read_live` and what its values become, by data identifier."""

    di: str
    phases: tuple[int, ...]
    values: dict[str, Target]


@dataclass(frozen=True, slots=True)
class Freezes:
    """Identifiers of frozen registers, without the number of the freeze."""

    daily_time: str
    daily: str
    settlement: str
    reading_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The whole of `registers.toml`."""

    live: tuple[LiveRow, ...]
    profile_di: str
    profile: dict[str, Target]
    freezes: Freezes


@cache
def load_table() -> Table:
    """Return the register table."""
    text = files(__package__).joinpath("registers.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    freezes = tables["freezes"]
    return Table(
        live=tuple(
            LiveRow(row["di"], tuple(row.get("phases", (1, 3))), _targets(row["values"]))
            for row in tables["live"]
        ),
        profile_di=tables["profile"]["di"],
        profile=_targets(tables["profile"]["values"]),
        freezes=Freezes(
            freezes["daily_time"],
            freezes["daily"],
            freezes["settlement"],
            tuple(freezes["reading_types"]),
        ),
    )


def _targets(values: dict[str, Any]) -> dict[str, Target]:
    return {di: Target(entry["reading_type"], Decimal(entry["scale"])) for di, entry in values.items()}
