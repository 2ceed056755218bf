"""Zip archives, looked through before anything in them is unpacked, and files packed by gzip, unpacked no
further than the same bounds: no bomb, no lie about sizes.
"""

import gzip
import io
import struct
import zipfile
import zlib

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.detect import GZIP, detect_format

UNPACKED_BYTES_AT_MOST = 50 * 1024 * 1024
RATIO_AT_MOST = 100
MEMBERS_AT_MOST = 1000
_RATIO_COUNTS_FROM_BYTES = 1024 * 1024
WORKBOOK = "xl/workbook.xml"  # a zip with this member is one


def open_archive(content: bytes) -> zipfile.ZipFile:
    """Return an archive whose central directory promises no more than may be unpacked.

    :raises FormatError: ``archive.broken``, ``archive.bomb`` (more than 50 MiB unpacked, packed tighter than
        1:100, or more than a thousand members), ``archive.encrypted``
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, struct.error, ValueError, RuntimeError, OSError):
        raise FormatError("archive.broken") from None
    members = archive.infolist()
    if not all(member.filename for member in members):
        raise FormatError("archive.broken")
    unpacked_bytes = sum(member.file_size for member in members)
    if len(members) > MEMBERS_AT_MOST or unpacked_bytes > _bytes_at_most(content):
        raise _bomb()
    if any(member.flag_bits & 1 for member in members):
        raise FormatError("archive.encrypted")
    return archive


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return what a member holds: never more than it promised.

    :raises FormatError: ``archive.broken``
    """
    try:
        with archive.open(member) as file:
            content = file.read(member.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError, ValueError):
        raise FormatError("archive.broken") from None
    if len(content) != member.file_size:
        raise FormatError("archive.broken")
    return content


def unpacked(content: bytes) -> bytes:
    """Return what a file holds that gzip packed; any other is as it is.

    :raises FormatError: ``archive.broken``, ``archive.bomb`` as `open_archive` does, ``archive.nested``
    """
    if not content.startswith(GZIP):
        return content
    most_bytes = _bytes_at_most(content)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            found = file.read(most_bytes + 1)
    except (OSError, EOFError, zlib.error):
        raise FormatError("archive.broken") from None
    if len(found) > most_bytes:
        raise _bomb()
    if detect_format(found) == "archive":
        raise FormatError("archive.nested", member="gzip")
    return found


def _bytes_at_most(content: bytes) -> int:
    return min(UNPACKED_BYTES_AT_MOST, max(_RATIO_COUNTS_FROM_BYTES, RATIO_AT_MOST * len(content)))


def _bomb() -> FormatError:
    return FormatError("archive.bomb", limit_bytes=UNPACKED_BYTES_AT_MOST, limit_ratio=RATIO_AT_MOST)


def check_members(content: bytes) -> zipfile.ZipFile:
    """Return an archive each of whose members holds just what the directory promises.

    :raises FormatError: as `open_archive` and `read_member` do
    """
    archive = open_archive(content)
    for member in archive.infolist():
        read_member(archive, member)
    return archive
