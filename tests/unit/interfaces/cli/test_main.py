"""The shell: verbs do what the pages do; errors are one sentence with a code; decode needs no Django."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relational import People, Street
from shell_runner import refused, run
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.keys import open_keys
from wattkeeper.data.collection.models import FieldRead
from wattkeeper.data.registry.models import Meter, Multiplier, Site, Topology, UsagePoint
from wattkeeper.interfaces.cli import main as shell_main
from wattkeeper.interfaces.cli.main import app
from wattkeeper.store.memory import MemoryReadingStore

CSV = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"


def test_a_street_is_built_from_a_shell(ours: People) -> None:
    run("site", "add", "S", "Court", "--time-zone", "Asia/Shanghai", "--kind", "RESIDENTIAL")
    run("link", "add", "line", "127.0.0.1:9", "--site", "S")
    broker = ("link", "add", "broker", "mqtt://10.0.0.5:1883", "--site", "S", "--transport", "MQTT")
    assert refused(*broker) == "headend.broker-insecure"
    run("usage-point", "add", "U1", "Flat 1", "--site", "S")
    run(
        "meter",
        "add",
        "M1",
        "--site",
        "S",
        "--family",
        "dlt645_2007",
        "--link",
        "line",
        "--key",
        "password=0011",
    )
    run("meter", "copy", "M1", "M2", "2")
    run("meter", "install", "M1", "U1", "--at", "2026-11-01T00:00:00+08:00", "--initial-read", "5.00")
    run(
        "meter",
        "exchange",
        "M1",
        "M2",
        "--at",
        "2026-11-20T10:07:00+08:00",
        "--final-read",
        "9.00",
        "--initial-read",
        "0",
    )
    noted = ("--at", "2026-11-20T10:07:00+08:00", "--reason", "misread")
    run("meter", "note-read", "M1", "8.90", *noted)
    run("meter", "note-read", "M2", "3.00", "--at", "2026-11-20T11:00:00+08:00", "--set-to", "0")
    assert FieldRead.objects.filter(correction_index=1).get().value_count == 890
    assert FieldRead.objects.filter(set_to_count=0).get().value_count == 300
    run("usage-point", "multiplier", "U1", "200", "--denominator", "5", "--at", "2026-11-21T12:00:00+08:00")
    rows = json.loads(run("meter", "list", "--json"))
    assert [(row["serial_number"], row["usage_point_code"]) for row in rows] == [("M1", None), ("M2", "U1")]
    assert Multiplier.objects.get().numerator == 200
    assert "0011" not in run("meter", "show", "M1")
    assert refused("meter", "delete", "M1") == "meters.has-reads"
    run("meter", "retire", "M1", "--at", "2026-11-21T00:00:00+08:00")
    assert Meter.objects.get(serial_number="M1").state == "RETIRED"
    assert AuditRecord.objects.filter(actor__startswith="cli:").count() == AuditRecord.objects.count()
    run("audit", "verify")


def test_a_key_comes_from_a_file_and_is_never_repeated(
    ours: People, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = "00112233445566778899aabbccddeeff"
    (tmp_path / "guek").write_text(f"{digits}\n")
    run("site", "add", "S", "Court")
    run(
        "meter", "add", "M1", "--site", "S", "--family", "dlms_three_phase", "--key", f"guek=@{tmp_path}/guek"
    )
    meter_id = Meter.objects.get(serial_number="M1").id
    assert open_keys(tmp_path, [meter_id]) == {meter_id: {"guek": bytes.fromhex(digits)}}
    for wrong in (digits, f"guek={digits}x", f"guek=@{tmp_path}/nowhere"):
        monkeypatch.setattr(sys, "argv", ["wattkeeper", "meter", "edit", "M1", "--key", wrong])
        with pytest.raises(SystemExit) as ended:
            shell_main.main()
        assert ended.value.code == 1
        assert digits not in capsys.readouterr().err


def test_what_feeds_a_point_begins_and_ends(ours: People, street: Street) -> None:
    points = UsagePoint.objects.in_bulk([street.point_id, street.other_point_id])
    child, parent = points[street.point_id].code, points[street.other_point_id].code
    run("usage-point", "feed", child, parent, "--at", "2026-11-01T00:00:00+08:00")
    run("usage-point", "feed", child, "--at", "2026-11-02T00:00:00+08:00")
    fed = Topology.objects.get()
    assert (fed.child_id, fed.parent_id) == (street.point_id, street.other_point_id)
    assert str(fed.ends_at) == "2026-11-01 16:00:00+00:00"
    assert refused("usage-point", "feed", child, "none", "--at", "2026-11-03T00:00:00+08:00") == (
        "registry.not-found"
    )


def test_edit_and_copy(ours: People, street: Street) -> None:
    run("site", "edit", "S1", "--name", "Yard")
    run("site", "copy", "S1", "S2", "Other yard")
    assert list(Site.objects.order_by("code").values_list("name", flat=True)) == ["Yard", "Other yard"]
    run("meter", "edit", "260100000001", "--setting", "phases=3", "--setting", "title=0012")
    assert Meter.objects.get(serial_number="260100000001").settings == {"phases": 3, "title": "0012"}


def test_people_and_tariffs(ours: People, tmp_path: Path) -> None:
    password = run("user", "add", "li", "--role", "OPERATOR")
    assert len(password) >= 12
    assert run("user", "key", "li", "sync").startswith("wk_")
    file = tmp_path / "t.json"
    file.write_text("[1]")
    assert refused("tariff", "add", str(file)) == "shell.not-json"
    file.write_text("{}")
    assert refused("tariff", "add", str(file)).startswith("tariffs.")
    assert refused("tariff", "add", str(tmp_path / "none")) == "shell.file-unreadable"


def test_import_names_each_wrong_row_and_twice_is_once(
    ours: People, tmp_path: Path, store: MemoryReadingStore
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        CSV
        + "P1,import,2026-11-01T00:00:00Z,3600,1.5,kWh,measured\n"
        + "P1,import,2026-11-01T01:00:00Z,3600,many,kWh,measured\n"
        + "P1,import,2026-11-01T02:00:00Z,3600,2,kWh,measured\n"
    )
    for _ in range(2):
        result = CliRunner().invoke(app, ["import", str(file)], catch_exceptions=False)
        assert result.exit_code == 1
        assert "a.csv:3:5" in result.stderr
        assert result.stdout.strip().endswith("rows 2, meters 1, errors 1")
    assert store.counts(ours.tenant.id).raw_reads == 2
    assert "P1" in run("meter", "list", "--search", "P1")


def test_a_name_that_is_not_there(ours: People) -> None:
    assert refused("meter", "show", "X") == "registry.not-found"
    assert refused("site", "list", "--tenant", "nobody") == "registry.tenant-unknown"
    assert refused("meter", "retire", "X", "--at", "2026-11-01") == "registry.not-found"


def test_several_tenants_must_be_told_apart(ours: People, theirs: People, street: Street) -> None:
    assert refused("site", "list") == "registry.tenant-needed"
    assert json.loads(run("site", "list", "--tenant", "theirs", "--json")) == []
    assert len(json.loads(run("site", "list", "--tenant", "ours", "--json"))) == 1


def test_an_error_is_one_sentence_with_its_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setattr(sys, "argv", ["wattkeeper", "import", "/no/such/file"])
    with pytest.raises(SystemExit) as ended:
        shell_main.main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.count("\n") == 1
    assert said.endswith("[shell.file-unreadable]\n")


def test_nobody_sees_a_trace(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def burst() -> None:
        raise RuntimeError("pipe")

    monkeypatch.setattr(shell_main, "app", burst)
    with pytest.raises(SystemExit):
        shell_main.main()
    assert "[shell.unexpected]" in capsys.readouterr().err


def test_decode_starts_without_django_and_the_store() -> None:
    script = (
        "import sys; from wattkeeper.interfaces.cli.main import app;"
        "from typer.testing import CliRunner;"
        "CliRunner().invoke(app, ['--lang', 'zh-hans', 'decode', 'dlt645'], input='zz');"
        "print([m for m in ('django', 'pyarrow', 'ninja', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_is_found_before_django_is_set_up() -> None:
    """In a process of its own: here Django is set up long before any command is."""
    look = (
        "from wattkeeper.interfaces.cli.main import COMMANDS, LazyGroup\n"
        "import sys, typer\n"
        "group = LazyGroup(name='wattkeeper')\n"
        "for name in COMMANDS: group.get_command(None, name)\n"
        "print([name for name in sys.modules if name == 'django.db.models'])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    assert done.stdout == "[]\n"
