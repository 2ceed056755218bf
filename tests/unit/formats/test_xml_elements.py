"""XML that is small to write and dear to read: tags without an end, texts without an end."""

from io import BytesIO

import pytest

from wattkeeper.formats import xml_elements
from wattkeeper.formats.api import ErrorList, FormatError
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file
from wattkeeper.formats.xml_elements import iter_elements

MIB = 1024 * 1024


class Counted(BytesIO):
    """A file that counts what was read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


LONG = {
    "attributes": b"<MeterReadings " + b" ".join(b'a%d="x"' % k for k in range(500_000)) + b"/>",
    "a value": b'<MeterReadings a="' + b"x" * 5 * MIB + b'"/>',
    "a comment": b"<!--" + b"x" * 5 * MIB + b"--><MeterReadings/>",
}


@pytest.mark.parametrize("content", LONG.values(), ids=list(LONG))
def test_a_tag_without_an_end_is_refused_early(content: bytes) -> None:
    """It is looked at from its beginning with each chunk: a file of 64 MiB would take minutes."""
    file = Counted(content)
    with pytest.raises(FormatError, match=r"xml\.tag-too-long"):
        list(iter_elements(file, frozenset({"MeterReading"}), ErrorList()))
    assert file.read_bytes < 2 * MIB
    with pytest.raises(FormatError, match=r"xml\.tag-too-long"):
        read_file(content.replace(b"MeterReading", b"Other"), CsvOptions())


def test_a_text_without_an_end_is_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the planted fault: all of it, copied again with each piece."""
    content = b"<MeterReading><mRID>" + b"x" * 2 * MIB + b"</mRID></MeterReading>"

    def length() -> int:
        (element,) = iter_elements(content, frozenset({"MeterReading"}), ErrorList())
        return len(element.text_of("mRID"))

    assert length() < 128 * 1024
    monkeypatch.setattr(xml_elements, "_TEXT_LENGTH_AT_MOST", 2**40)
    assert length() == 2 * MIB


def test_what_is_long_and_harmless_is_read() -> None:
    """Many short tags, a long text between them, CDATA: none of it is one tag."""
    content = (
        b"<a>" + b"<b>1</b>" * 300_000 + b"<![CDATA[" + b"x" * 3 * MIB + b"]]>" + b" " * 3 * MIB + b"</a>"
    )
    errors = ErrorList()
    assert sum(1 for _ in iter_elements(content, frozenset({"b"}), errors)) == 300_000
    assert len(errors) == 0
