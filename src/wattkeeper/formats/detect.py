"""Which format a file is, from its first bytes."""

from typing import Literal

from wattkeeper.formats.api import FormatError

Format = Literal["csv", "xlsx", "nem12", "nem13", "greenbutton", "iec61968", "mscons"]
FORMATS: tuple[Format, ...] = ("csv", "xlsx", "nem12", "nem13", "greenbutton", "iec61968", "mscons")
HEAD_BYTES = 64 * 1024
BOM = b"\xef\xbb\xbf"
_FIRST_BYTES = 64
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # a compound file (MS-CFB)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF16_STARTS = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}
_WIDE_BYTES = 1024
GZIP = b"\x1f\x8b\x08"
_AEMO_RECORDS = (b"100,", b"200,", b"250,", b"300,")


def detect_format(head: bytes) -> Format | Literal["archive", "xml"]:
    """Return the format the first bytes of a file speak for; the reader says what is wrong with the rest.

    UTF-16 is XML, which its readers take, or read by `plain_text`. ``archive``: a zip file, of whatever (a
    workbook is one too), or one of gzip. ``xml``: none of ours.

    :raises FormatError: ``xlsx.old`` for a workbook of Excel 97 to 2003, or one with a password;
        ``formats.unknown`` where the first line is no text
    """
    start = head[:HEAD_BYTES].removeprefix(BOM).lstrip()
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06", GZIP)):  # the second: without a member
        return "archive"
    if start.startswith((b"UNA", b"UNB+")):
        return "mscons"
    if start.startswith(_AEMO_RECORDS):
        line = start.partition(b"\n")[0].upper()
        return "nem13" if line.startswith((b"100,NEM13", b"250,")) else "nem12"
    if start[:2] in _UTF16_STARTS:
        text = start[: len(start) // 2 * 2].decode(_UTF16_STARTS[start[:2]], "replace")
        start = text.removeprefix("\ufeff").lstrip().encode("utf-8", "replace")
        if not start.startswith(b"<"):
            return "csv"
    if start.startswith(_OLD_WORKBOOK):
        raise FormatError("xlsx.old")
    if _unmarked(head):
        return "csv"
    if b"\0" in start[:_FIRST_BYTES]:
        raise FormatError("formats.unknown")
    if start.startswith(b"<"):
        if b"naesb.org/espi" in start:
            return "greenbutton"
        return "iec61968" if b"MeterReading" in start else "xml"
    return "csv"


def plain_text(content: bytes) -> bytes:
    """Return a text of UTF-16, such as Excel writes as "Unicode text", in UTF-8 with its mark."""
    encoding = "utf-16" if content.startswith(_UTF16_MARKS) else _unmarked(content)
    is_wide = encoding and detect_format(content) == "csv"
    return content.decode(encoding, "replace").encode("utf-8-sig") if is_wide else content


def _unmarked(head: bytes) -> str:
    """Return which UTF-16 a text without its mark is; nothing where its beginning may be anything else.

    Every second byte or nearly so is NUL there, none of the others is, and all that is told is printable.
    """
    first = head[:_WIDE_BYTES]
    first = first[: len(first) // 2 * 2]
    for name, high, low in (("utf-16-le", first[1::2], first[::2]), ("utf-16-be", first[::2], first[1::2])):
        if 2 * high.count(0) > len(high) and 0 not in low:
            text = first.decode(name, "replace")[:-1]  # the last may be half of two
            return name if "".join(text.split()).isprintable() and "\ufffd" not in text else ""
    return ""
