"""`wattkeeper convert`: intervals in one format in, another format out. Stateless; keeps nothing."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.api import LossList, ParsedIntervals
from wattkeeper.formats.csv_intervals import written_so
from wattkeeper.formats.detect import FORMATS, Format
from wattkeeper.formats.files import read_file, write_file
from wattkeeper.formats.mapping import Mapping, parse_mapping
from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.messages import sentence

FormatOption = Annotated[str, typer.Option("--to", help=f"one of {', '.join(FORMATS)}")]
EncodingOption = Annotated[
    str, typer.Option(help="encoding of a CSV file: utf-8, gb18030 or cp1252; as its bytes tell if not given")
]
DelimiterOption = Annotated[str, typer.Option(help="between columns; the mapping's, or a comma")]
DecimalMarkOption = Annotated[str, typer.Option(help="the mapping's, or a point")]
ZoneOption = Annotated[
    str | None, typer.Option(help="zone of times without an offset; the mapping's, or none")
]
_STANDARD = "-"
FILE_BYTES_AT_MOST = 1 << 30
MEMORY_PER_BYTE = 12  # what the densest file needs of the machine, a byte of it; docs/operate/import.md
_TEXT_ERRORS_SHOWN = 1000


def convert(
    file: Annotated[str, typer.Argument(help="a file in any format, or - for standard input")],
    to: FormatOption,
    output: Annotated[str, typer.Option("--output", "-o", help="a file, or - for standard output")] = "-",
    mapping: Annotated[str, typer.Option(help="JSON file that says how the table is written")] = "",
    delimiter: DelimiterOption = "",
    decimal_mark: DecimalMarkOption = "",
    zone: ZoneOption = None,
    encoding: EncodingOption = "",
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing/--good-rows", help="write nothing if a row is wrong")
    ] = False,
) -> None:
    """Convert a file of intervals. Exit 0 only if every row was good and the format can hold all of it."""
    form = find_format(to)
    own = read_mapping(mapping) if mapping else None
    how = written_so(own, delimiter=delimiter, decimal_mark=decimal_mark, zone=zone, encoding=encoding)
    parsed = read_file(read_whole(file), how)
    print_row_errors(file, parsed)
    if parsed.errors and all_or_nothing:
        raise WattkeeperError("convert.refused", count=len(parsed.errors))
    losses = LossList()
    write_out(output, write_file(form, parsed.blocks, losses))
    print_losses(file, losses)
    raise typer.Exit(1 if parsed.errors or losses.all() else 0)


def read_mapping(file: str) -> Mapping:
    """Return the mapping of a JSON file.

    :raises WattkeeperError: ``shell.file-unreadable``, ``mapping.*``
    """
    try:
        return parse_mapping(Path(file).read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise WattkeeperError("mapping.not-json") from None
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=file, reason=error.strerror) from error


def print_row_errors(file: str, parsed: ParsedIntervals) -> None:
    """Print each wrong row with its line and column to standard error."""
    for error in parsed.errors[: _TEXT_ERRORS_SHOWN + 1]:
        text = sentence(error.code, error.params, current_language())
        inside = f"{file}!{error.params['member']}" if "member" in error.params else file
        place = f"{inside}:{error.line}:{error.column}" if error.line else inside
        typer.echo(f"{place}: {text} [{error.code}]", err=True)


def print_losses(file: str, losses: LossList) -> None:
    """Print what a format could not hold to standard error."""
    for loss in losses.all():
        text = sentence(loss.code, loss.params, current_language())
        typer.echo(f"{file}: {text} [{loss.code}]", err=True)


def find_format(name: str) -> Format:
    """Return the format of a name.

    :raises WattkeeperError: ``convert.format-unknown``
    """
    found = next((one for one in FORMATS if one == name.lower()), None)
    if found is None:
        raise WattkeeperError("convert.format-unknown", name=name, choices=", ".join(FORMATS))
    return found


def read_whole(file: str) -> bytes:
    """Return what a file holds, or standard input.

    :raises WattkeeperError: ``shell.file-unreadable``; ``shell.file-too-large`` before more of it is read
        than there is memory for
    """
    most_bytes = bytes_at_most(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        if file == _STANDARD:
            content = sys.stdin.buffer.read(most_bytes + 1)
            is_larger = len(content) > most_bytes
        else:
            is_larger = Path(file).stat().st_size > most_bytes
            content = b"" if is_larger else Path(file).read_bytes()
    except OSError as error:
        raise WattkeeperError("shell.file-unreadable", file=file, reason=error.strerror) from error
    if is_larger:
        raise WattkeeperError("shell.file-too-large", file=file, limit_mib=most_bytes >> 20)
    return content


def bytes_at_most(memory_bytes: int) -> int:
    """Return how large a file may be on a machine of some memory."""
    return min(FILE_BYTES_AT_MOST, memory_bytes // MEMORY_PER_BYTE)


def write_out(output: str, parts: Iterable[bytes]) -> None:
    """Write a file whole or not at all: it appears when its last byte is on the disk; a pipe stays a pipe.

    :raises WattkeeperError: ``convert.not-written``
    """
    if output == _STANDARD:
        sys.stdout.buffer.writelines(parts)
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                file.writelines(parts)
            return
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise WattkeeperError("convert.not-written", file=output, reason=error.strerror) from error
