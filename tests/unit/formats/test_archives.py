"""Zip files and workbooks: bombs and lies refused before anything is unpacked, honest ones read."""

import contextlib
import gzip
import random
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from datetime import date
from io import BytesIO

import pytest
import xlsxwriter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from format_files import archive_of
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats import xlsx
from wattkeeper.formats.api import FormatError, LossList
from wattkeeper.formats.archives import check_members, open_archive, unpacked
from wattkeeper.formats.blocks import make_block, rows_of
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.formats.mapping import Mapping, Place, ValueColumn
from wattkeeper.formats.table_head import detect_content, encoding_told, guess_delimiter, is_table, read_head
from wattkeeper.formats.xlsx import read_xlsx, write_xlsx

PLAIN = CsvOptions()
CSV = (
    b"usage_point,channel,starts_at,interval_s,value,unit,quality\nUP,E1,2026-03-01T00:00:00Z,900,1,kWh,raw\n"
)
BLOCK = make_block(
    ("UP", "", "E1", "Wh", 900), [0, 900], [1, 2], [(Quality(Provenance.MEASURED), "")], [0, 0]
)


def lying(content: bytes, size_bytes: int) -> bytes:
    """Return an archive whose directory and local header promise another size for the first member."""
    out = bytearray(content)
    struct.pack_into("<I", out, out.index(b"PK\x01\x02") + 24, size_bytes)
    struct.pack_into("<I", out, 22, size_bytes)
    return bytes(out)


def test_files_in_an_archive_are_read_and_their_errors_named() -> None:
    content = archive_of(**{"a.csv": CSV, "b/b.csv": CSV.replace(b",1,kWh", b",x,kWh")})
    parsed = read_file(content, PLAIN)
    assert len(parsed.blocks) == 1
    assert [(e.line, e.params["member"]) for e in parsed.errors] == [(2, "b/b.csv")]


MEMBER = b"usage_point,channel,starts_at,interval_s,value,unit,quality\n"
QUARTERS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 2), st.sampled_from(["raw", "est"])), max_size=6
)


@given(st.lists(QUARTERS, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_an_interval_in_two_files_of_an_archive_is_written_once(
    members: list[list[tuple[int, int, str]]],
) -> None:
    """Told alike it is one; told unlike the first stays, and that is said."""
    files, told = {}, {}
    unlike_count = 0
    for number, rows in enumerate(members):
        rows = list({row[0]: row for row in rows}.values())  # no file tells one twice
        lines = [
            f"UP,E1,2026-03-01T0{at // 4}:{at % 4 * 15:02d}:00Z,900,{value},kWh,{quality}\n"
            for at, value, quality in rows
        ]
        files[f"{number}.csv"] = MEMBER + "".join(lines).encode()
        unlike_count += sum(told.setdefault(row[0], row) != row for row in rows)
    losses = LossList()
    written = b"".join(write_file("csv", read_file(archive_of(**files), PLAIN).blocks, losses))
    found = read_file(written, PLAIN)
    assert [error.code for error in found.errors] == ([] if told else ["formats.no-intervals"])
    assert sum(int(block.value_milli.sum()) for block in found.blocks) == 10**6 * sum(
        value for _at, value, _quality in told.values()
    )
    assert sum(loss.params["interval_count"] for loss in losses.all()) == unlike_count


def test_bombs_are_refused_by_their_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    too_large = archive_of(**{f"{k}.csv": bytes(10 * 1024 * 1024) for k in range(6)})
    too_tight = archive_of(**{"a.csv": bytes(20 * 1024 * 1024)})
    too_many = archive_of(**{f"{k}": b"" for k in range(1001)})
    claims_much = lying(archive_of(**{"a.csv": CSV}), 2**31)
    opened: list[str] = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda _self, name, *_rest: opened.append(str(name)))
    for bomb in (too_large, too_tight, too_many, claims_much):
        for reader in (lambda content: read_file(content, PLAIN), lambda content: read_xlsx(content, PLAIN)):
            with pytest.raises(FormatError, match=r"archive\.bomb"):
                reader(bomb)
    assert opened == []


def test_a_member_that_holds_more_than_it_promised_is_refused() -> None:
    liar = lying(archive_of(**{"a.csv": CSV * 1000}), 10)
    with pytest.raises(FormatError, match=r"archive\.broken"):
        read_file(liar, PLAIN)
    with pytest.raises(FormatError, match=r"archive\.broken"):
        check_members(liar)


def test_nested_encrypted_and_broken_archives_are_refused() -> None:
    inner = archive_of(**{"a.csv": CSV})
    with pytest.raises(FormatError, match=r"archive\.nested"):
        read_file(archive_of(**{"inner.zip": inner}), PLAIN)
    with pytest.raises(FormatError, match=r"archive\.broken"):
        read_file(inner[:-30], PLAIN)
    secret = bytearray(inner)
    secret[secret.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(FormatError, match=r"archive\.encrypted"):
        read_file(bytes(secret), PLAIN)


def test_an_archive_of_nothing_says_so() -> None:
    for content in (archive_of(), archive_of(**{"folder/": b""})):
        assert [error.code for error in read_file(content, PLAIN).errors] == ["formats.no-intervals"]


@given(st.integers(0, 500), st.binary(max_size=8))
@example(173, b"\0\0")  # a member without a name
@settings(max_examples=60, deadline=None)
def test_damage_is_an_error_with_a_code(at: int, junk: bytes) -> None:
    whole = archive_of(**{"a.csv": CSV})
    damaged = whole[: at % len(whole)] + junk + whole[at % len(whole) + len(junk) :]
    try:
        parsed = read_file(damaged, PLAIN)
        is_told = bool(parsed.blocks or parsed.errors)
    except FormatError:
        is_told = True
    assert is_told


def test_a_workbook_of_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    book = write_xlsx([BLOCK])
    monkeypatch.setattr(xlsx, "ROWS_AT_MOST", 2)
    with pytest.raises(FormatError, match=r"xlsx\.too-many-rows"):
        read_xlsx(book, PLAIN)
    with pytest.raises(FormatError, match=r"xlsx\.too-many-rows"):
        write_xlsx([BLOCK])


def test_what_is_no_workbook() -> None:
    with pytest.raises(FormatError, match=r"xlsx\.broken"):
        read_xlsx(archive_of(**{"xl/workbook.xml": b"<workbook/>"}), PLAIN)
    with pytest.raises(FormatError, match=r"archive\.broken"):
        read_xlsx(b"no", PLAIN)
    with pytest.raises(FormatError, match=r"formats\.zone-unknown"):
        write_xlsx([BLOCK], zone="Mars/Olympus")


def test_a_workbook_with_a_document_type_is_refused() -> None:
    book = BytesIO(write_xlsx([BLOCK]))
    members = {}
    with zipfile.ZipFile(book) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name)
    sheet = members["xl/worksheets/sheet1.xml"].decode()
    evil = '<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    members["xl/worksheets/sheet1.xml"] = (
        sheet.replace("?>", f"?>{evil}", 1).replace("raw", "&x;", 1).encode()
    )
    with pytest.raises(FormatError, match=r"xml\.doctype"):
        read_file(archive_of(**members), PLAIN)


def test_local_times_numbers_and_identifiers() -> None:
    """Written as Excel shows them: local times with their offset, identifiers as text, exact values."""
    kinds = [(Quality(Provenance.MEASURED), "")]
    starts = [1_792_886_400 + 900 * k for k in range(12)]  # over the night of 2026-10-25, Berlin
    values = [1, 123_456_789, 4_503_599_627_370_496, *range(9)]
    block = make_block(("007", "", "=1+1", "Wh", 900), starts, values, kinds, [0] * 12)
    content = write_xlsx([block], zone="Europe/Berlin")
    rows = [cells for _number, cells in xlsx.iter_texts(content)]
    assert rows[1][:4] == ["007", "'=1+1", "2026-10-25 02:00:00", "+02:00"]
    assert rows[5][2:4] == ["2026-10-25 02:00:00", "+01:00"]
    assert [row[5] for row in rows[1:4]] == ["0.000001", "123.456789", "4503599627.370496"]
    again = read_xlsx(content, PLAIN).blocks[0]
    assert (again.usage_point, again.channel) == ("007", "=1+1")
    assert again.value_milli.tolist() == values
    assert again.starts_at_s.tolist() == starts


def test_dates_and_numbers_of_foreign_workbooks() -> None:
    out = BytesIO()
    with xlsxwriter.Workbook(out, {"default_date_format": "dd.mm.yyyy"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Datum", "Zeit", "kWh"])
        for row in range(1, 4):
            sheet.write_datetime(row, 0, date(2026, 3, 1))
            sheet.write(row, 1, f"{row:02d}:00")
            sheet.write_number(row, 2, 0.1 + 0.2)
    mapping = Mapping(
        time=("Datum", "Zeit"),
        values=(ValueColumn("kWh", Place(constant="import"), Place(constant="kWh")),),
        zone="Europe/Berlin",
        interval_s=Place(constant="3600"),
        usage_point=Place(constant="UP-1"),
    )
    block = read_xlsx(out.getvalue(), mapping).blocks[0]
    assert block.value_milli.tolist() == [300_000] * 3
    assert block.starts_at_s.tolist() == [1_772_323_200, 1_772_326_800, 1_772_330_400]


@pytest.mark.parametrize("form", ["csv", "nem12", "greenbutton", "iec61968", "mscons"])
def test_what_gzip_packed_is_read_as_it_is(form: Format) -> None:
    block = replace(BLOCK, usage_point="6001234567")
    plain = b"".join(write_file(form, [block], LossList()))
    assert rows_of(read_file(gzip.compress(plain), PLAIN).blocks) == rows_of(read_file(plain, PLAIN).blocks)
    in_parts = gzip.compress(plain[:40]) + gzip.compress(plain[40:])
    assert rows_of(read_file(in_parts, PLAIN).blocks) == rows_of(read_file(plain, PLAIN).blocks)


def test_a_table_that_gzip_packed_is_guessed_and_looked_at_as_it_is() -> None:
    text = "Zeit;Bezug (kWh)\n" + "".join(f"2026-11-02 {hour:02}:00;1,5\n" for hour in range(9))
    plain = text.encode()
    packed = gzip.compress(plain)
    assert is_table(packed)
    assert detect_content(packed) == detect_content(plain)
    assert read_head(packed, ";") == read_head(plain, ";")
    assert guess_delimiter(packed) == ";"
    assert encoding_told(gzip.compress("户号,电表\n".encode("gb18030"))) == "gb18030"


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_what_gzip_packed_and_was_damaged_is_refused_or_whole(at: int, change: int) -> None:
    packed = bytearray(gzip.compress(CSV, mtime=0))
    packed[3 + at % (len(packed) - 3)] ^= change
    with contextlib.suppress(FormatError):
        assert unpacked(bytes(packed)) == CSV


def test_bombs_of_gzip_are_refused_before_they_are_unpacked() -> None:
    tight, large = gzip.compress(bytes(20 * 2**20)), gzip.compress(random.Random(1).randbytes(2**20) * 51)
    assert len(large) > 2**20
    for bomb in (tight, large, large[:-9]):
        tracemalloc.start()
        with pytest.raises(FormatError, match=r"archive\.bomb"):
            read_file(bomb, PLAIN)
        assert tracemalloc.get_traced_memory()[1] < 130 * 2**20
        tracemalloc.stop()
    with pytest.raises(FormatError, match=r"archive\.broken"):
        read_file(gzip.compress(CSV)[:-9], PLAIN)


def test_archives_in_gzip_and_gzip_in_archives_are_refused() -> None:
    packed = gzip.compress(CSV)
    for content in (
        gzip.compress(packed),
        gzip.compress(archive_of(a=CSV)),
        archive_of(**{"a.csv.gz": packed}),
    ):
        with pytest.raises(FormatError, match=r"archive\.nested"):
            read_file(content, PLAIN)


def test_honest_archives_open() -> None:
    assert len(open_archive(archive_of(**{"a.csv": CSV})).infolist()) == 1
