"""A check of a proof: how much it examined, what is wrong and where, and what it could not prove."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from wattkeeper.core.kernel.errors import WattkeeperError

FAULTS_MAX_COUNT = 1000  # of one check; there is one more that says so
OnDone = Callable[[int, int], None]  # told how much is done of how much


class SqlStore(Protocol):
    """A store that answers questions of ours."""

    def select(self, query: str) -> pa.Table:
        """Return the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong: a code with its sentence, and where it is."""

    code: str
    place: Mapping[str, Any]


@dataclass(slots=True)
class Check:
    """What one check proved: `examined_count` things, with their faults and what stays unproved."""

    name: str
    examined_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    unproved: list[Fault] = field(default_factory=list)

    def fault(self, code: str, **place: Any) -> None:
        """Note a fault; after the thousandth only that there are more."""
        if len(self.faults) < FAULTS_MAX_COUNT:
            self.faults.append(Fault(code, place))
        elif len(self.faults) == FAULTS_MAX_COUNT:
            self.faults.append(Fault("verify.more-faults", {"check": self.name}))

    def cannot(self, code: str, **place: Any) -> None:
        """Note what could not be proved."""
        self.unproved.append(Fault(code, place))


Examine = Callable[[Check, OnDone], None]


def run_check(name: str, examine: Examine, on_progress: Callable[[str, int, int], None]) -> Check:
    """Return what came of a check; one that an error stops has proved nothing."""
    check = Check(name)
    on_progress(name, 0, 0)
    try:
        examine(check, partial(on_progress, name))
    except WattkeeperError as error:
        check.fault("verify.check-failed", check=name, reason=error.code, detail=str(error.params)[:300])
    return check


def span(row: Mapping[str, Any]) -> dict[str, str]:
    return {"from": instant(row["first_at_s"]), "to": instant(row["last_at_s"])}


def instant(at_s: int) -> str:
    """Return an instant as text."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()
