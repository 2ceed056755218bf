"""The sums of a node as rows: its parts with their names, its periods, shares in per cent."""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.data.virtual.nodes import REST, ROOT, Sort, key_of, names_of, sort_of
from wattkeeper.interfaces.reads.aggregation import Sums


@dataclass(frozen=True, slots=True)
class SumRow:
    """Energy of a part or of a period; `key` empty for a period. Counts are of intervals."""

    key: str
    code: str
    name: str
    sort: str
    energy_milliwh: int
    due_count: int
    known_count: int
    estimated_count: int
    missing_count: int
    period: date | datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the part has parts of its own to look at."""
        return self.sort not in ("", Sort.SERIES.name)

    @property
    def complete_permille(self) -> int | None:
        """How much of what is due holds a value, rounded down; None where nothing is due."""
        if not self.due_count:
            return None
        return min(self.known_count, self.due_count) * 1000 // self.due_count

    @property
    def complete_text(self) -> str:
        """The same in per cent."""
        permille = self.complete_permille
        return "–" if permille is None else f"{permille // 10}.{permille % 10} %"


def part_rows(tenant_id: int, sums: Sums) -> list[SumRow]:
    """Return one row a part, the largest first."""
    names = names_of(tenant_id, sums.parts)
    columns = [each.sum(axis=1).tolist() for each in _figures(sums)]
    rows = [
        SumRow(key_of(node), *names.get(node, ("", "")), sort_of(node)[0].name, *figures)
        for node, *figures in zip(sums.parts, *columns, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row.energy_milliwh, row.code))


def period_rows(sums: Sums) -> list[SumRow]:
    """Return one row a period: the node as a whole."""
    columns = [each.sum(axis=0).tolist() for each in _figures(sums)]
    return [
        SumRow("", "", "", "", energy, due, known, estimated, missing, period)
        for period, energy, due, known, estimated, missing in zip(sums.periods, *columns, strict=True)
    ]


def total_row(sums: Sums) -> SumRow:
    """Return the node over all periods."""
    energy, due, known, estimated, missing = (int(each.sum()) for each in _figures(sums))
    return SumRow("", "", "", "", energy, due, known, estimated, missing)


def is_of_tenant(tenant_id: int, node: int) -> bool:
    """Whether a node is the tenant's own; what is another's is as if absent."""
    return node in (ROOT, REST) or bool(names_of(tenant_id, [node]))


def _figures(sums: Sums) -> tuple[Int64s, ...]:
    due = np.maximum(sums.due_count, 0)
    return (sums.energy_milliwh, due, sums.known_count, sums.estimated_count, sums.missing_count)
