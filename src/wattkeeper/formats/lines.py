"""Lines of a file, bounded: no line of any length can fill the memory."""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from wattkeeper.formats.detect import BOM

LINE_BYTES_AT_MOST = 64 * 1024
_CHUNK_BYTES = 512 * 1024


def with_line_feeds(content: bytes) -> bytes:
    """Return a text with line feeds where carriage returns alone end its lines, as old programs write."""
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def iter_lines(source: BinaryIO | bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yield (line number from 1, the line without its end); None in place of one that is too long.

    A byte order mark before the first line is left out.
    """
    file = BytesIO(source) if isinstance(source, bytes) else source
    number = 0
    while line := file.readline(LINE_BYTES_AT_MOST + 1):
        number += 1
        if len(line) > LINE_BYTES_AT_MOST and not line.endswith(b"\n"):
            _skip_rest(file)
            yield number, None
            continue
        yield number, (line.removeprefix(BOM) if number == 1 else line).rstrip(b"\r\n")


def iter_chunks(source: BinaryIO | bytes, cut_before: bytes = b"\n") -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, some whole lines, each with its end), half a MiB or so at a time.

    A chunk ends before the last line that `cut_before` finds (``b"\\n300,"``: before a line that begins with
    ``300,``), so that what belongs to that line comes with it. A line that is too long is cut down to just
    over `LINE_BYTES_AT_MOST`. A byte order mark before the first line is left out.
    """
    file = BytesIO(source) if isinstance(source, bytes) else source
    number, held = 1, b""
    while data := file.read(_CHUNK_BYTES):
        held = held + data if held or number > 1 else data.removeprefix(BOM)
        cut = held.rfind(cut_before) + 1
        if not cut and len(held) > 8 * _CHUNK_BYTES:
            cut = held.rfind(b"\n") + 1
            held = held if cut else held[: LINE_BYTES_AT_MOST + 1]
        if cut:
            yield number, held[:cut]
            number += held.count(b"\n", 0, cut)
            held = held[cut:]
    if held:
        yield number, held if held.endswith(b"\n") else held + b"\n"


def _skip_rest(file: BinaryIO) -> None:
    while (rest := file.readline(LINE_BYTES_AT_MOST)) and not rest.endswith(b"\n"):
        pass
