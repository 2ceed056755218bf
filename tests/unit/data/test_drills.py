"""No role starts on the database of a drill, which the next drill empties."""

from types import SimpleNamespace

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data import drills
from wattkeeper.data.drills import MARKER, require_no_drill


@pytest.mark.parametrize(
    ("vendor", "tables", "is_refused"),
    [
        ("postgresql", ["registry_meter", MARKER], True),
        ("mysql", [MARKER], True),
        ("mysql", ["registry_meter"], False),
        ("sqlite", [MARKER], False),
    ],
)
def test_a_marked_database_is_refused(
    monkeypatch: pytest.MonkeyPatch, vendor: str, tables: list[str], is_refused: bool
) -> None:
    introspection = SimpleNamespace(table_names=lambda: tables)
    database = SimpleNamespace(vendor=vendor, introspection=introspection, settings_dict={"NAME": "drills"})
    monkeypatch.setattr(drills, "connection", database)
    if not is_refused:
        require_no_drill()
        return
    with pytest.raises(WattkeeperError) as refusal:
        require_no_drill()
    assert (refusal.value.code, refusal.value.params["name"]) == ("database.of-a-drill", "drills")
