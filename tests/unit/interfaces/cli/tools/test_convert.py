"""`wattkeeper convert`: every format in and out, wrong rows and losses told, files whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.detect import FORMATS
from wattkeeper.formats.table_head import detect_content
from wattkeeper.interfaces.cli.main import app
from wattkeeper.interfaces.cli.tools.convert import MEMORY_PER_BYTE, bytes_at_most

HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
ROWS = (
    "6001234567,E1,2026-02-28T14:00:00Z,1800,1.5,kWh,raw\n"
    "6001234567,E1,2026-02-28T14:30:00Z,1800,2,kWh,est.linear\n"
)


def convert(*args: object, text: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["convert", *map(str, args)], input=text, catch_exceptions=False)


def refused(*args: object) -> str:
    with pytest.raises(WattkeeperError) as caught:
        convert(*args)
    return caught.value.code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a plain file."""
    path = tmp_path / "in.csv"
    path.write_text(HEAD + ROWS)
    return path


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "nem13"])
def test_there_and_back(file: Path, tmp_path: Path, form: str) -> None:
    there, back = tmp_path / "there", tmp_path / "back.csv"
    assert convert(file, "--to", form, "-o", there).exit_code == 0
    assert convert(there, "--to", "csv", "-o", back).exit_code == 0
    lines = back.read_text().splitlines()
    assert [line.split(",")[2:7] for line in lines[1:3]] == [
        ["2026-02-28T14:00:00Z", "1800", "1.5", "kWh", "raw"],
        ["2026-02-28T14:30:00Z", "1800", "2", "kWh", "est.linear"],
    ]


def test_standard_input_and_output() -> None:
    result = convert("-", "--to", "csv", text=(HEAD + ROWS).encode())
    assert (result.exit_code, result.stdout.splitlines()) == (0, (HEAD + ROWS).splitlines())


def test_a_file_larger_than_the_memory_allows_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is read: a file by its size, standard input by its first bytes."""
    size = file.stat().st_size
    memory = {"SC_PHYS_PAGES": size * MEMORY_PER_BYTE, "SC_PAGE_SIZE": 1}
    monkeypatch.setattr(os, "sysconf", memory.__getitem__)
    assert convert(file, "--to", "csv", "-o", tmp_path / "out").exit_code == 0
    assert convert("-", "--to", "csv", text=(HEAD + ROWS).encode()).exit_code == 0
    memory["SC_PHYS_PAGES"] -= 1
    monkeypatch.setattr(Path, "read_bytes", lambda _path: pytest.fail("it was read"))
    assert refused(file, "--to", "csv") == "shell.file-too-large"
    with pytest.raises(WattkeeperError) as caught:
        convert("-", "--to", "csv", text=(HEAD + ROWS).encode())
    assert caught.value.code == "shell.file-too-large"


def test_no_machine_takes_more_than_a_gibibyte() -> None:
    assert bytes_at_most(1 << 50) == 1 << 30
    assert bytes_at_most(2 << 30) == (2 << 30) // 12


def test_a_pipe_or_device_is_written_to_and_not_replaced(file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["timeout", "10", "cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert convert(file, "--to", "csv", "-o", pipe).exit_code == 0
        assert pipe.is_fifo()
        assert reader.communicate()[0].splitlines() == (HEAD + ROWS).splitlines()


def test_wrong_rows_are_named_and_all_or_nothing_writes_nothing(file: Path, tmp_path: Path) -> None:
    file.write_text(HEAD + ROWS + "6001234567,E1,2026-02-28T15:00:00Z,1800,x,kWh,raw\n")
    out = tmp_path / "out.csv"
    result = convert(file, "--to", "csv", "-o", out)
    assert result.exit_code == 1
    assert f"{file}:4:5: " in result.stderr
    assert "formats.not-a-number" in result.stderr
    assert len(out.read_text().splitlines()) == 3
    out.unlink()
    assert refused(file, "--to", "csv", "-o", out, "--all-or-nothing") == "convert.refused"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


def test_what_is_lost_is_told(file: Path, tmp_path: Path) -> None:
    file.write_text(HEAD + ROWS.replace(",raw", ",raw+power_lost"))
    assert convert(file, "--to", "nem12", "-o", tmp_path / "out").exit_code == 0
    assert "+power_lost" in convert(tmp_path / "out", "--to", "csv").stdout
    file.write_text(HEAD + ROWS.replace(",raw", ",suspect+power_lost"))
    result = convert(file, "--to", "nem12", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "suspect+power_lost" in result.stderr
    assert "formats.quality-folded" in result.stderr


def test_a_mapping_says_how_a_table_is_written(tmp_path: Path) -> None:
    table, mapping = tmp_path / "t.csv", tmp_path / "m.json"
    table.write_text("day;kWh\n01.03.2026 00:15;1,5\n")
    mapping.write_text(
        '{"delimiter": ";", "decimal_mark": ",", "zone": "UTC", "label": "end", "time": ["day"],'
        '"time_format": "DD.MM.YYYY hh:mm", "interval_s": 900, "usage_point": "UP-1",'
        '"values": [{"column": "kWh", "channel": "import", "unit": "kWh"}]}'
    )
    result = convert(table, "--to", "csv", "--mapping", mapping)
    assert result.stdout.splitlines()[1] == "UP-1,import,2026-03-01T00:00:00Z,900,1.5,kWh,raw"
    mapping.write_bytes(b"\xff\xfe")
    assert refused(table, "--to", "csv", "--mapping", mapping) == "mapping.not-json"
    assert refused(table, "--to", "csv", "--mapping", tmp_path / "none") == "shell.file-unreadable"


def test_a_table_with_a_day_a_row(tmp_path: Path) -> None:
    table, mapping = tmp_path / "t.csv", tmp_path / "m.json"
    table.write_text(f"日期,户号,{','.join(f'{at}:00' for at in range(1, 25))}\n2026-03-01,A,,{'1,' * 22}2\n")
    mapping.write_text(detect_content(table.read_bytes()).mapping.to_json())
    result = convert(table, "--to", "csv", "--mapping", mapping, "--zone", "Asia/Shanghai")
    rows = result.stdout.splitlines()
    assert (result.exit_code, len(rows)) == (0, 25)
    assert rows[1] == "A,import,2026-02-28T16:00:00Z,3600,,kWh,missing"
    assert rows[-1] == "A,import,2026-03-01T15:00:00Z,3600,2,kWh,raw"


def test_an_encoding_is_named_where_the_bytes_do_not_tell(file: Path, tmp_path: Path) -> None:
    file.write_bytes((HEAD + ROWS).replace("6001234567", "Köln").encode("cp1252"))
    unsure = convert(file, "--to", "csv")
    assert (unsure.exit_code, len(unsure.stdout.splitlines())) == (1, 1)
    assert "gb18030, cp1252" in unsure.stderr
    assert "Köln," in convert(file, "--to", "csv", "--encoding", "cp1252").stdout
    assert refused(file, "--to", "csv", "--encoding", "koi8-r") == "formats.encoding-unknown"


def test_refusals(file: Path, tmp_path: Path) -> None:
    assert refused(file, "--to", "pdf") == "convert.format-unknown"
    assert refused(tmp_path / "none", "--to", "csv") == "shell.file-unreadable"
    assert refused(file, "--to", "csv", "-o", tmp_path / "no" / "folder") == "convert.not-written"
    bomb = tmp_path / "bomb.xml"
    bomb.write_text(
        '<!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]><f xmlns="http://naesb.org/espi">&x;</f>'
    )
    assert refused(bomb, "--to", "csv", "-o", tmp_path / "out") == "xml.doctype"
    bomb.write_text("<html/>")
    assert refused(bomb, "--to", "csv", "-o", tmp_path / "out") == "formats.unknown"
    assert not (tmp_path / "out").exists()


def test_it_needs_no_django(file: Path) -> None:
    code = (
        "import sys; from wattkeeper.interfaces.cli.main import app; from typer.testing import CliRunner;"
        f"CliRunner().invoke(app, ['convert', {str(file)!r}, '--to', 'nem12'], catch_exceptions=False);"
        "sys.exit(any(name.partition('.')[0] in ('django', 'chdb') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
