"""Lines of a file, bounded: no line of any length can fill the memory."""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

LINE_BYTES_AT_MOST = 64 * 1024
_BOM = b"\xef\xbb\xbf"


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
        yield number, (line.removeprefix(_BOM) if number == 1 else line).rstrip(b"\r\n")


def _skip_rest(file: BinaryIO) -> None:
    while (rest := file.readline(LINE_BYTES_AT_MOST)) and not rest.endswith(b"\n"):
        pass
