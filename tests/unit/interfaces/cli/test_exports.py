"""`wattkeeper export`: what is stored goes into a file of every format and comes back the same."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from relational import NOW, People
from shell_runner import refused
from wattkeeper.actions.registry.edit_meter import edit_meter
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.data.collection.models import Run
from wattkeeper.data.registry.models import Installation, Meter, Series, Site, UsagePoint
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file
from wattkeeper.interfaces.cli.main import app
from wattkeeper.interfaces.reads import archived, export
from wattkeeper.store.api import Measurements
from wattkeeper.store.memory import MemoryReadingStore

FIRST = datetime(2026, 10, 31, 16, tzinfo=UTC)  # midnight of the 1st in Shanghai
EXCHANGED = FIRST + timedelta(hours=30)
SLOTS = 96
POINT = "VABC005890"


@pytest.fixture
def stored(ours: People, store: MemoryReadingStore) -> dict[str, list[int]]:
    """Two days of a usage point whose meter was exchanged in the middle; the values by channel."""
    own = {"tenant": ours.tenant}
    site = Site.objects.create(code="SH", name="SH", kind="RESIDENTIAL", time_zone="Asia/Shanghai", **own)
    point = UsagePoint.objects.create(site=site, code=POINT, plain_name="", **own)
    for serial, starts_at, ends_at in (("M1", FIRST, EXCHANGED), ("M2", EXCHANGED, None)):
        meter = Meter.objects.create(site=site, serial_number=serial, **own)
        span = {"starts_at": starts_at, "ends_at": ends_at, "recorded_at": NOW}
        Installation.objects.create(meter=meter, usage_point=point, **span, **own)
    told: dict[str, list[int]] = {}
    at_s = to_seconds(FIRST) + 1800 * np.arange(-2, SLOTS + 2)  # more than the two days
    for number, (quantity, channel) in enumerate(export.CHANNELS.items()):
        row = Series.objects.create(usage_point=point, quantity=quantity, interval_s=1800, **own)
        value = (number + 1) * 1000 * np.arange(len(at_s))
        nothing = np.zeros(len(at_s), dtype=np.int64)
        provenance, method = nothing + int(Provenance.MEASURED), nothing.copy()
        provenance[7], method[7] = int(Provenance.ESTIMATED), int(Method.LINEAR)
        columns = row.id + nothing, at_s, value, provenance, nothing, method, nothing + 1
        store.insert_measurements(ours.tenant.id, Measurements(*columns))
        told[channel] = value[2:-2].tolist()
    return told


def exported(form: str, file: Path, *options: str) -> int:
    command = ["export", "2026-11-01", "2026-11-02", "--to", form, "-o", str(file), *options]
    return CliRunner().invoke(app, command, catch_exceptions=False).exit_code


@pytest.mark.parametrize("form", ["csv", "xlsx", "nem12", "greenbutton", "iec61968", "mscons"])
def test_every_format_holds_what_is_stored(form: str, stored: dict[str, list[int]], tmp_path: Path) -> None:
    file = tmp_path / "out"
    assert exported(form, file, "--point", POINT) == 0
    parsed = read_file(file.read_bytes(), CsvOptions())
    assert parsed.errors == []
    values: dict[tuple[str, bool], list[int]] = {}
    meters: dict[str, list[int]] = {}
    for block in sorted(parsed.blocks, key=lambda block: int(block.starts_at_s[0])):
        key = block.unit, block.channel.upper() in {"EXPORT", "B1", "K1"}
        is_there = block.provenance != int(Provenance.MISSING)  # NEM12 has whole days of its own zone only
        values.setdefault(key, []).extend(block.value_milli[is_there].tolist())
        meters.setdefault(block.meter_serial, []).extend(block.starts_at_s[is_there].tolist())
    assert values == {
        ("Wh", False): stored["import"],
        ("Wh", True): stored["export"],
        ("varh", False): stored["Q1"],
        ("varh", True): stored["K1"],
    }
    provenances = [number for block in parsed.blocks for number in block.provenance.tolist()]
    assert provenances.count(int(Provenance.ESTIMATED)) == len(stored)
    if meters.keys() != {""}:  # not every format says the meter
        assert meters.keys() == {"M1", "M2"}
        assert max(meters["M1"]) < to_seconds(EXCHANGED) <= min(meters["M2"])


@pytest.mark.parametrize("form", ["csv", "xlsx", "nem12", "greenbutton", "iec61968", "mscons"])
def test_every_format_names_the_meter_that_was_known(
    form: str, stored: dict[str, list[int]], ours: People, services: Services, tmp_path: Path
) -> None:
    """The exchange was recorded later than the run, and the old meter's number corrected later still."""
    meter = Meter.objects.get(serial_number="M1")
    written, named = NOW - timedelta(days=3), {"actor": ours.operator, "services": services}
    Run.objects.create(
        id=1, tenant_id=ours.tenant.id, recorded_at=written, stored_at=written, rule_set="", code_version=""
    )
    Installation.objects.filter(meter=meter).update(recorded_at=written)
    Installation.objects.exclude(meter=meter).update(recorded_at=NOW - timedelta(days=1))
    for days, serial in ((0, "M1b"), (1, "M1c")):
        at = NOW + timedelta(days=days)
        edit_meter(now=at, meter_id=meter.id, serial_number=serial, **named)  # type: ignore[arg-type]
    for at, serials in (
        (written, {"M1"}),
        (NOW - timedelta(hours=1), {"M1", "M2"}),
        (NOW + timedelta(hours=1), {"M1b", "M2"}),
        (NOW + timedelta(days=2), {"M1c", "M2"}),
    ):
        file = tmp_path / "out"
        assert exported(form, file, "--point", POINT, "--as-of", at.isoformat()) == 0
        blocks = read_file(file.read_bytes(), CsvOptions()).blocks
        assert {block.meter_serial for block in blocks} == serials


def test_days_are_local(
    stored: dict[str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: midnight taken in UTC moves the span by eight hours."""
    monkeypatch.setattr(
        export, "local_midnight", lambda day, zone: datetime(*day.timetuple()[:3], tzinfo=UTC)
    )
    file = tmp_path / "out"
    exported("csv", file)
    parsed = read_file(file.read_bytes(), CsvOptions())
    first = min(int(block.starts_at_s[0]) for block in parsed.blocks)
    assert first == to_seconds(FIRST) + 8 * 3600


def test_what_a_format_can_not_hold_is_told(stored: dict[str, list[int]], tmp_path: Path) -> None:
    UsagePoint.objects.filter(code=POINT).update(code="a home")
    file = tmp_path / "out"
    assert exported("nem12", file) == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["soon", "2026-11-02", "--to", "csv"], "shell.not-a-date"),
        (["2026-11-01", "2026-11-02", "--to", "pdf"], "convert.format-unknown"),
        (["2026-11-01", "2026-11-02", "--to", "csv", "--point", "nobody"], "registry.not-found"),
        (["2026-11-01", "2026-11-02", "--to", "csv", "--as-of", "2026-11-02"], "shell.not-an-instant"),
    ],
)
def test_refusals(ours: People, store: MemoryReadingStore, given: list[str], code: str) -> None:
    assert refused("export", *given) == code


@pytest.mark.parametrize(("form", "table"), [("csv", "measurement"), ("nem13", "raw_read")])
def test_what_is_archived_is_said(
    form: str,
    table: str,
    stored: dict[str, list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = {table: {202609, 202610}}
    monkeypatch.setattr(archived, "away_months", lambda _folder, tables: away[tables[0]])
    command = ["export", "2026-10-31", "2026-11-02", "--to", form, "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 1
    assert "2026-10" in done.stderr
    assert f" {len(stored) * 64} " in done.stderr  # October of UTC ends at eight in the morning there
    assert "2026-09" not in done.stderr
    away[table] = set()
    assert "exports.archived" not in CliRunner().invoke(app, command, catch_exceptions=False).stderr
