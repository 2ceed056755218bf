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


FULL = {
    "of nothing": b"<MeterReading>" + b"<a/>" * 200_000 + b"</MeterReading>",
    "in parts": b"<MeterReading>" + (b"<a/>" * 60_000 + b"<Readings/>") * 3 + b"</MeterReading>",
    "within another": (b"<MeterReading>" + b"<a/>" * 90_000) * 3 + b"</MeterReading>" * 3,
    "an entry": b'<entry xmlns="http://naesb.org/espi">' + b"<a/>" * 200_000 + b"</entry>",
}


@pytest.mark.parametrize("content", FULL.values(), ids=list(FULL))
def test_an_element_of_too_many_is_refused_before_it_fills_the_memory(content: bytes) -> None:
    """Four bytes each in the file, some hundred in memory: 64 MiB of them took all that a machine has."""
    with pytest.raises(FormatError, match=r"xml\.too-many-elements"):
        read_file(content, CsvOptions())


def test_a_reading_with_all_the_others_of_a_year_is_none_too_many() -> None:
    reading = (
        b"<IntervalReadings><timeStamp>2026-03-01T00:00:00Z</timeStamp><value>1</value></IntervalReadings>"
    )
    content = b"<MeterReading><IntervalBlocks>" + reading * 35_136 + b"</IntervalBlocks></MeterReading>"
    assert {error.code for error in read_file(content, CsvOptions()).errors} <= {
        "iec61968.wrong-type",
        "formats.too-many-errors",
    }


def test_interval_readings_say_their_type_themselves_or_by_their_block() -> None:
    kinds = ["0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "0.0.7.4.19.1.12.0.0.0.0.0.0.0.0.0.72.0"]
    stamp = b"<timeStamp>2026-03-01T00:00:00Z</timeStamp><value>1</value>"
    quality = b'<ReadingQualities><ReadingQualityType ref="1.0.0"/></ReadingQualities>'
    own = b'<ReadingType ref="%s"/>' % kinds[1].encode()
    one, other = (
        b"<IntervalReadings>" + more + quality + stamp + b"</IntervalReadings>" for more in (b"", own)
    )
    block = b'<IntervalBlocks>%s%s<ReadingType ref="%s"/></IntervalBlocks>' % (one, other, kinds[0].encode())
    content = b"<MeterReading>" + block + b"<Meter><mRID>M1</mRID></Meter></MeterReading>"
    parsed = read_file(content, CsvOptions())
    found = [(one.channel, one.interval_s, one.value_milli.tolist()) for one in parsed.blocks]
    assert (found, parsed.errors) == ([("import", 900, [1_000_000]), ("export", 3600, [1000])], [])
