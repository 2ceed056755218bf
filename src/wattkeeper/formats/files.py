"""Files of any format: found out, read, written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from wattkeeper.formats.api import FormatError, IntervalBlock, LossList, ParsedIntervals, RowError
from wattkeeper.formats.archives import WORKBOOK, open_archive, read_member, unpacked
from wattkeeper.formats.blocks import join_like
from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
from wattkeeper.formats.csv_write import write_csv
from wattkeeper.formats.details import hold_details
from wattkeeper.formats.detect import Format, detect_format, plain_text
from wattkeeper.formats.espi import read_espi
from wattkeeper.formats.espi_write import write_espi
from wattkeeper.formats.iec61968 import read_iec61968
from wattkeeper.formats.iec61968_write import write_iec61968
from wattkeeper.formats.lines import with_line_feeds
from wattkeeper.formats.mapping import Mapping
from wattkeeper.formats.mscons import read_mscons
from wattkeeper.formats.mscons_write import write_mscons
from wattkeeper.formats.nem12 import read_nem12
from wattkeeper.formats.nem12_write import write_nem12
from wattkeeper.formats.nem13 import read_nem13, write_nem13
from wattkeeper.formats.xlsx import read_xlsx, write_xlsx
from wattkeeper.formats.xml_elements import refuse_doctype

_READERS: dict[str, Callable[[bytes], ParsedIntervals]] = {
    "nem12": read_nem12,
    "nem13": read_nem13,
    "greenbutton": read_espi,
    "iec61968": read_iec61968,
    "mscons": read_mscons,
}
_OF_THE_SYSTEM = "__MACOSX/"  # what macOS keeps of each file beside it
_WRITERS: dict[str, Callable[[Sequence[IntervalBlock], LossList], Iterator[bytes]]] = {
    "nem12": write_nem12,
    "nem13": write_nem13,
    "greenbutton": write_espi,
    "iec61968": write_iec61968,
    "mscons": write_mscons,
}


def read_file(content: bytes, how: CsvOptions | Mapping) -> ParsedIntervals:
    """Return the blocks of a file of any format, or of an archive of such files, and its rows' errors.

    One that gzip packed is read as what it holds.

    `how` says how a table (CSV, Excel) is written; other formats say that themselves.

    :raises FormatError: ``formats.unknown``, ``xml.*``, ``archive.*``, ``xlsx.*``, ``formats.zone-unknown``
    """
    content = plain_text(unpacked(content))
    found = detect_format(content)
    if found == "archive":
        return _read_archive(content, how)
    if found == "xml":
        refuse_doctype(content)
        raise FormatError("formats.unknown")
    if found in ("csv", "nem12", "nem13"):
        content = with_line_feeds(content)
    return read_csv(content, how) if found == "csv" else _READERS[found](content)


def write_file(form: Format, blocks: Sequence[IntervalBlock], losses: LossList) -> Iterator[bytes]:
    """Yield a file of a format by the part; what it can't hold goes to `losses`.

    :raises FormatError: ``xlsx.too-many-rows``
    """
    blocks = [hold_details(form, block, losses) for block in join_like(blocks, losses)]
    if form == "csv":
        return write_csv(blocks)
    if form == "xlsx":
        return iter([write_xlsx(blocks)])
    return _WRITERS[form](blocks, losses)


def _read_archive(content: bytes, how: CsvOptions | Mapping) -> ParsedIntervals:
    archive = open_archive(content)
    if WORKBOOK in archive.namelist():
        return read_xlsx(content, how)
    found = ParsedIntervals([], [])
    for member in archive.infolist():
        if member.is_dir() or member.filename.startswith(_OF_THE_SYSTEM):
            continue
        inner = read_member(archive, member)
        if detect_format(inner) == "archive":
            raise FormatError("archive.nested", member=member.filename)
        parsed = read_file(inner, how)
        found.blocks.extend(parsed.blocks)
        found.errors.extend(
            replace(error, params={**error.params, "member": member.filename}) for error in parsed.errors
        )
    if not found.blocks and not found.errors:
        found.errors.append(RowError(1, 0, "formats.no-intervals"))
    return found
