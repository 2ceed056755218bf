"""Sheets as programs write them: formulas without results, blank rows, cells that lie far apart."""

from io import BytesIO

import pytest
import xlsxwriter

from format_files import archive_of
from wattkeeper.formats import xlsx, xlsx_cells
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.archives import check_members
from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import Mapping, Place, ValueColumn
from wattkeeper.formats.table_head import detect_content, read_head

PLAIN = CsvOptions()
NAMES = ("usage_point", "channel", "starts_at", "interval_s", "value", "unit", "quality")
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
MEMBERS = {
    "[Content_Types].xml": b"<Types/>",
    "_rels/.rels": (
        "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>"
        f"<Relationship Id='r1' Type='{OFFICE}/officeDocument' Target='xl/workbook.xml'/></Relationships>"
    ).encode(),
    "xl/workbook.xml": (
        f"<workbook xmlns='{MAIN}' xmlns:r='{OFFICE}'><sheets><sheet name='a' sheetId='1' r:id='r1'/>"
        "</sheets></workbook>"
    ).encode(),
    "xl/_rels/workbook.xml.rels": (
        "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>"
        f"<Relationship Id='r1' Type='{OFFICE}/worksheet' Target='worksheets/sheet1.xml'/></Relationships>"
    ).encode(),
}


def workbook(rows: str, **more: bytes) -> bytes:
    sheet = f"<worksheet xmlns='{MAIN}'><sheetData>{rows}</sheetData></worksheet>"
    members = {**MEMBERS, "xl/worksheets/sheet1.xml": sheet.encode(), **more}
    return archive_of(**members)


def text(place: str, told: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{told}</t></is></c>'


def table(first_row: int, values: list[str]) -> bytes:
    """Return a plain table from a row on; `@` in a value's cell is its place."""
    rows = [row(first_row, [text(f"{'ABCDEFG'[at]}{first_row}", name) for at, name in enumerate(NAMES)])]
    for hour, value in enumerate(values):
        n = first_row + 1 + hour
        told = (("A", "P1"), ("B", "import"), ("C", f"2026-11-02T{hour:02d}:00:00Z"), ("D", "3600"))
        cells = [text(f"{column}{n}", each) for column, each in told]
        cells += [value.replace("@", f"E{n}"), text(f"F{n}", "kWh"), text(f"G{n}", "raw")]
        rows.append(row(n, cells))
    return workbook("".join(rows))


def row(number: int, cells: list[str]) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


GOOD = '<c r="@"><v>1</v></c>'
CALCULATED = '<c r="@"><f>A1*2</f><v>2</v></c>'
WITHOUT = {
    "no result": '<c r="@"><f>A1*2</f></c>',
    "an empty result": '<c r="@"><f>A1*2</f><v></v></c>',
    "a blank result": '<c r="@"><f>A1*2</f><v> </v></c>',
    "an error": '<c r="@" t="e"><f>1/0</f><v>#DIV/0!</v></c>',
    "a shared formula": '<c r="@"><f t="shared" si="0"/><v/></c>',
    "a prefix": f'<x:c xmlns:x="{MAIN}" r="@"><x:f>1</x:f></x:c>',
}


@pytest.mark.parametrize("cell", WITHOUT.values(), ids=list(WITHOUT))
@pytest.mark.parametrize("blank", ["error", "missing", "skip"])
def test_a_formula_without_a_result_is_an_error_whatever_a_blank_is(cell: str, blank: str) -> None:
    mapping = Mapping(
        time=("starts_at",),
        values=(ValueColumn("value", Place("channel"), Place("unit"), Place("quality")),),
        interval_s=Place("interval_s"),
        usage_point=Place("usage_point"),
        blank=blank,  # type: ignore[arg-type]
    )
    parsed = read_file(table(1, [GOOD, cell, CALCULATED]), mapping)
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [(3, 5, "xlsx.no-result")]
    assert parsed.blocks[0].value_milli.tolist() == [1_000_000, 2_000_000]


def test_the_planted_fault_formulas_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "look_through", lambda *_sheet: set())
    parsed = read_file(table(1, [GOOD, WITHOUT["no result"]]), PLAIN)
    assert [e.code for e in parsed.errors] == ["formats.value-blank"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("UP", 2, 1.5), ("UP", 3, 2)], [("second", 2)]),
        ([("UP", 2, "x")], []),
        ([("", 2, 1)], []),
        ([], []),
    ],
    ids=["intervals", "none that is right", "names of nobody", "a header"],
)
def test_a_sheet_of_intervals_that_is_not_read_is_told(
    rows: list[tuple[str, int, object]], told: list[tuple[str, int]]
) -> None:
    """What else a workbook holds beside its table, such as notes, is nobody's error."""
    out = BytesIO()
    with xlsxwriter.Workbook(out) as book:
        for name, own in (("first", [("UP", 1, 1)]), ("notes", None), ("second", rows)):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, NAMES if own is not None else ["Made by hand", 7])
            for at, (point, day, value) in enumerate(own or [], 1):
                sheet.write_row(
                    at, 0, [point, "import", f"2026-11-{day:02d}T00:00Z", 900, value, "kWh", "raw"]
                )
    parsed = read_file(out.getvalue(), PLAIN)
    assert [block.value_milli.tolist() for block in parsed.blocks] == [[1_000_000]]
    assert {error.code for error in parsed.errors} <= {"xlsx.sheet-left-out"}
    assert [(e.params["sheet"], e.params["interval_count"]) for e in parsed.errors] == told


def test_of_sheets_that_share_a_member_one_is_looked_at() -> None:
    """However many a small workbook says that it has."""
    one = b"<sheet name='a' sheetId='1' r:id='r1'/>"
    again = MEMBERS["xl/workbook.xml"].replace(one, 5000 * one)
    archive = check_members(workbook("", **{"xl/workbook.xml": again}))
    found = xlsx_cells.find_sheets(archive)
    assert (len(found), [member for member in found if member]) == (32, ["xl/worksheets/sheet1.xml"])


def test_a_formula_in_a_column_that_is_not_used_is_nobody_s_error() -> None:
    rows = row(1, [text("A1", "t"), text("B1", "v"), text("C1", "w")])
    rows += row(2, [text("A2", "2026-11-02T00:00Z"), '<c r="B2"><v>1</v></c>', '<c r="C2"><f>B2</f></c>'])
    mapping = Mapping(
        time=("t",),
        values=(ValueColumn("v", Place(constant="import"), Place(constant="kWh")),),
        interval_s=Place(constant="3600"),
        usage_point=Place(constant="P1"),
    )
    assert read_file(workbook(rows), mapping).errors == []


def test_rows_of_nothing_but_formulas_are_told_too() -> None:
    rows = row(1, [text("B1", "t"), text("C1", "v")])
    rows += row(2, [text("B2", "2026-11-02T00:00Z"), '<c r="C2"><v>1</v></c>'])
    rows += "".join(row(n, [f'<c r="B{n}"><f>1</f></c>', f'<c r="C{n}"><f>1</f></c>']) for n in (3, 6))
    mapping = Mapping(
        time=("t",),
        values=(ValueColumn("v", Place(constant="import"), Place(constant="kWh")),),
        interval_s=Place(constant="3600"),
        usage_point=Place(constant="P1"),
    )
    parsed = read_file(workbook(rows), mapping)
    assert [(e.line, e.code) for e in parsed.errors] == [(3, "xlsx.no-result"), (6, "xlsx.no-result")]
    assert len(parsed.blocks[0].value_milli) == 1


def test_lines_are_those_that_the_spreadsheet_shows() -> None:
    """Blank rows before the table count."""
    parsed = read_file(table(4, [GOOD, '<c r="@"><v>x</v></c>']), PLAIN)
    assert [(e.line, e.column) for e in parsed.errors] == [(6, 5)]


FAR = {
    "columns": '<row r="1"><c r="A1"><v>1</v></c></row><row r="9000"><c r="XFD9000"><v>1</v></c></row>',
    "both ends": '<row r="1"><c r="A1"><v>1</v></c><c r="XFD999999"><v>1</v></c></row>',
    "small letters": '<row r="1"><c r="A1"><v>1</v></c><c r="xfd99999"><v>1</v></c></row>',
    "no places": '<row r="1">' + "<c><v>1</v></c>" * 300 + '</row><row r="99999"><c><v>1</v></c></row>',
    "other quotes": "<row r='1'><c r='A1'><v>1</v></c><c s='0' r = 'XFD99999'><v>1</v></c></row>",
}


@pytest.mark.parametrize("rows", FAR.values(), ids=list(FAR))
def test_cells_far_apart_are_refused_before_they_fill_the_memory(
    rows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def laid_out(*_parts: object) -> object:
        raise AssertionError("the sheet was laid out")

    monkeypatch.setattr("python_calamine.CalamineWorkbook", laid_out)
    for reader in (lambda book: read_file(book, PLAIN), read_head):
        with pytest.raises(FormatError, match=r"xlsx\.too-many-cells"):
            reader(workbook(rows))


def test_a_styled_blank_cell_far_out_is_nothing() -> None:
    styled = '<row r="99999"><c r="XFD99999" s="1"/></row>'
    book = table(1, [GOOD])
    assert read_file(book, PLAIN).errors == []
    rows = row(1, [text("A1", "t"), text("B1", "v")]) + styled
    archive = check_members(workbook(rows))
    assert xlsx_cells.look_through(archive, *xlsx_cells.find_sheets(archive)) == set()


@pytest.mark.parametrize(
    "more",
    [
        {"content.xml": b"<office/>"},
        {"XL/WORKBOOK.BIN": b""},
        {"xl/Workbook.xml": MEMBERS["xl/workbook.xml"]},
        {"xl/_rels/workbook.xml.rels": MEMBERS["xl/_rels/workbook.xml.rels"].replace(b"'r1'", b"'r2'")},
        {"xl/worksheets/sheet1.xml": b"<worksheet><sheetData>"},
        {"xl/worksheets/sheet1.xml": b"<worksheet><c r='1A'><f>1</f></c></worksheet>"},
    ],
    ids=["open document", "binary", "twice", "no relation", "cut", "no place"],
)
def test_a_workbook_in_doubt_is_refused(more: dict[str, bytes]) -> None:
    book = workbook(row(1, ['<c r="A1"><f>1</f></c>']), **more)
    with pytest.raises(FormatError, match=r"xlsx\.broken"):
        read_file(book, PLAIN)


TITLED = "EDM export\n\n\nNovember\n\ntime;kWh\n2026-11-02 00:00;1\n2026-11-02 00:15;2\n"


def test_the_header_s_line_counts_blank_lines() -> None:
    """The planted fault, blank lines not counted: line 2 or 3 would be the header, which it is not."""
    mapping = detect_content(TITLED.encode()).mapping
    assert mapping.header_line == 6
    parsed = read_csv(TITLED.encode(), mapping)
    assert parsed.errors == []
    assert len(parsed.blocks[0].value_milli) == 2
    told = [line.split(";") for line in TITLED.splitlines()[5:]]
    rows = [
        row(n, [text(f"{'AB'[at]}{n}", each) for at, each in enumerate(cells)])
        for n, cells in enumerate(told, 6)
    ]
    book = workbook("".join(rows))
    assert detect_content(book).mapping.header_line == 6
    assert [e.code for e in read_file(book, detect_content(book).mapping).errors] == []


def merged(cell: object, *, column: int, rows: int = 4, above: int = 0) -> bytes:
    """Return a workbook of four hours, one column of which is a cell merged over some rows."""
    out = BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        if above:
            sheet.merge_range(0, 0, above - 1, 3, "Report")
        sheet.write_row(above, 0, ["Meter", "Datum", "Zeit", "kWh"])
        for hour in range(4):
            cells = ["M-1", "2026-11-02", f"{hour:02}:00", 1.5]
            cells[column] = None if hour < rows else cells[column]
            sheet.write_row(above + 1 + hour, 0, cells)
        sheet.merge_range(above + 1, column, above + rows, column, "")
        write = sheet.write_number if isinstance(cell, float) else sheet.write_string
        write(above + 1, column, cell)
    return out.getvalue()


@pytest.mark.parametrize("above", [0, 1, 3])
@pytest.mark.parametrize(("cell", "column"), [("M-7", 0), ("2026-11-03", 1)])
def test_a_text_that_is_merged_over_rows_stands_in_each(cell: str, column: int, above: int) -> None:
    """The rows below the first were of a meter without a name, as if it had been exchanged."""
    content = merged(cell, column=column, above=above)
    mapping = detect_content(content).mapping
    parsed = read_file(content, mapping)
    (block,) = parsed.blocks
    assert parsed.errors == []
    assert block.meter_serial == ("M-7" if column == 0 else "M-1")
    assert block.value_milli.tolist() == [1_500_000] * 4
    assert {row[column] for row in read_head(content)[above + 1 :]} == {cell}


def test_what_is_below_merged_cells_is_its_own() -> None:
    (first, second) = read_file(
        content := merged("M-7", column=0, rows=2), detect_content(content).mapping
    ).blocks
    assert [(block.meter_serial, len(block.value_milli)) for block in (first, second)] == [
        ("M-7", 2),
        ("M-1", 2),
    ]


@pytest.mark.parametrize("column", [0, 3])
def test_a_number_that_is_merged_over_rows_is_refused(column: int) -> None:
    """It would be counted in each of them; a serial number that is a number is refused by its rows, too."""
    how = detect_content(merged("M-7", column=0)).mapping
    parsed = read_file(merged(6.0, column=column), how)
    assert [(e.line, e.column, e.code) for e in parsed.errors] == [
        (line, column + 1, "xlsx.merged") for line in (3, 4, 5)
    ]
    assert [block.value_milli.tolist() for block in parsed.blocks] == [[6_000_000 if column else 1_500_000]]
