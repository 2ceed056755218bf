"""Tables in the encodings that Excel writes: read alike where bytes tell, asked about where they don't."""

from dataclasses import replace
from functools import lru_cache
from io import BytesIO

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from wattkeeper.formats.api import FormatError, ParsedIntervals
from wattkeeper.formats.blocks import rows_of
from wattkeeper.formats.csv_intervals import CsvOptions, read_csv
from wattkeeper.formats.encodings import ENCODINGS, Encoding, find_encoding
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import DELIMITERS, Mapping, parse_mapping
from wattkeeper.formats.table_head import detect_content, encoding_told

CHINESE = "户号,表号,日期时间,正向有功 kWh\n{},01,2026-03-01 00:00,1.25\n{},01,2026-03-01 00:15,2.5\n"
GERMAN = "Zählpunkt;Zähler;Zeit;Bezug kWh\n{};01;01.03.2026 00:00;1,25\n{};01;01.03.2026 00:15;2,5\n"
PLAIN = (
    "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
    "{},import,2026-03-01T00:00:00Z,900,1.25,kWh,raw\nUP-2,import,2026-03-01T00:00:00Z,900,2.5,kWh,raw\n"
)


def is_utf8(content: bytes) -> bool:
    return find_encoding(content) == Encoding("utf-8")


HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=8).filter(
    lambda name: not is_utf8(name.encode("gbk"))  # by chance, as a name of one character may be
)
WORDS = st.lists(
    st.sampled_from(["Größe", "Süd", "Köln", "Straße", "Übergabe", "Ärzte", "Nord", "für"]),
    min_size=1,
    max_size=5,
).map(" ".join)


@lru_cache(1)
def mapping_of(text: str) -> Mapping:
    return detect_content(text.encode()).mapping


def read(text: str, codec: str, named: str = "") -> ParsedIntervals:
    return read_file(text.encode(codec), replace(mapping_of(text), encoding=named))


@given(HAN, HAN)
@example("朱镕基", "喆")
@example("模", "联通")
@settings(max_examples=100, deadline=None)
def test_a_chinese_table_reads_the_same_in_each(one: str, other: str) -> None:
    text = CHINESE.format(one, other)
    wanted = read(text, "utf-8")
    assert {block.usage_point for block in wanted.blocks} == {one, other}
    for codec in ("utf-8-sig", "utf-16", "gb18030", "gbk"):
        for named in ("", "gb18030"):
            parsed = read(text, codec, named)
            assert (rows_of(parsed.blocks), parsed.errors) == (rows_of(wanted.blocks), []), (codec, named)


@given(WORDS, WORDS)
@settings(max_examples=100, deadline=None)
def test_a_german_table_reads_the_same_in_each(one: str, other: str) -> None:
    text = GERMAN.format(one, other)
    wanted = read(text, "utf-8")
    assert {block.usage_point for block in wanted.blocks} == {one, other}
    for codec in ("utf-8-sig", "utf-16", "cp1252", "iso8859-15"):
        for named in ("", "cp1252"):
            parsed = read(text, codec, named)
            assert (rows_of(parsed.blocks), parsed.errors) == (rows_of(wanted.blocks), []), (codec, named)


NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
CODECS = (
    "utf-8",
    "gb18030",
    "cp1252",
    "cp1250",
    "cp1251",
    "big5",
    "shift_jis",
    "euc_kr",
    "cp850",
    "mac_roman",
)


def check_name(name: str, content: bytes) -> None:
    """A name is what it was or is refused by its line; the row of ASCII beside it is read in any encoding."""
    parsed = read_csv(content, CsvOptions())
    found = {block.usage_point: block.value_milli.tolist() for block in parsed.blocks}
    assert found.pop("UP-2") == [2_500_000]
    assert found in ({}, {name: [1_250_000]})
    assert found or {error.line for error in parsed.errors} == {2}


@given(NAMES, st.sampled_from(CODECS))
@example("Zählpunkt", "cp850")
@example("Köln", "cp1252")
@example("鋒", "gb18030")
@example("energię", "cp1250")
@example("счетчик", "cp1251")
@settings(max_examples=300, deadline=None)
def test_no_name_comes_in_as_another(name: str, codec: str) -> None:
    content = PLAIN.format(name).encode(codec, "ignore")
    assume(content.decode(codec) == PLAIN.format(name))
    assume(codec == "utf-8" or content.isascii() or not is_utf8(content))
    check_name(name, content)


def test_a_reader_that_leaves_out_what_does_not_fit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Encoding, "decode", lambda self, line: line.decode(self.name or "utf-8", "ignore"))
    with pytest.raises(AssertionError):
        check_name("Köln", PLAIN.format("Köln").encode("cp1252"))


@given(st.binary(max_size=12).filter(lambda junk: not set(junk) & set(b'\r\n,"')), st.sampled_from(ENCODINGS))
@settings(max_examples=200, deadline=None)
def test_no_encoding_changes_a_number(junk: bytes, named: str) -> None:
    """Digits and marks between columns are ASCII in each: whatever a name is read as, the value stays."""
    head, _, rows = PLAIN.encode().partition(b"\n")
    parsed = read_csv(head + b"\n" + rows.replace(b"{}", b"UP-1" + junk), CsvOptions(encoding=named))
    assert {value for block in parsed.blocks for value in block.value_milli.tolist()} <= {
        1_250_000,
        2_500_000,
    }


def test_what_a_file_must_keep_is_no_part_of_a_longer_character() -> None:
    for text in ("0123456789.-+", *DELIMITERS, '"\r\n'):
        assert {text.encode(codec) for codec in ENCODINGS} == {text.encode("ascii")}
    chars = (chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000)
    inner = {byte for char in chars for byte in char.encode("gb18030")}
    assert not inner & set(b',;\t "\r\n.+-')
    assert inner >= set(b"|")  # so a character may hold a bar: a line is decoded before it is cut


@pytest.mark.parametrize(
    ("text", "codec", "name", "candidates"),
    [
        ("户号,表号", "gbk", "gb18030", ()),
        ("户号,表号", "utf-8", "utf-8", ()),
        ("Zähler;Größe", "cp1252", "cp1252", ()),
        ("Énergie relevée", "cp1252", "cp1252", ()),
        ("Zähler;energię", "cp1250", "", ("cp1252",)),
        ("Zähler", "cp850", "", ("gb18030", "cp1252")),
        ("電力量,時間", "euc_jp", "", ("gb18030", "cp1252")),
        ("用電戶號", "big5", "", ("gb18030", "cp1252")),
        ("25 °C", "cp1252", "", ("gb18030", "cp1252")),
    ],
)
def test_what_the_bytes_tell(text: str, codec: str, name: str, candidates: tuple[str, ...]) -> None:
    content = text.encode(codec)
    for source in (content, BytesIO(content)):
        assert find_encoding(source) == Encoding(name, candidates)
    file = BytesIO(b"x" + content)
    file.seek(1)
    find_encoding(file)
    assert file.tell() == 1


def test_lines_in_several_encodings_are_asked_about() -> None:
    mixed = "户号\n".encode("gbk") + "户号\n".encode()
    found = find_encoding(mixed)
    assert (found.name, found.candidates[:1]) == ("", ("utf-8",))
    assert not find_encoding("户号\n".encode("gbk") + "Zähler".encode("cp1252")).name


@pytest.mark.parametrize(
    ("name", "line", "code", "params"),
    [
        ("cp1252", b"Z\x81hler", "formats.not-in-encoding", {"encoding": "cp1252", "reason": "0x81"}),
        ("gb18030", b"Z\xff", "formats.not-in-encoding", {"encoding": "gb18030", "reason": "0xFF"}),
        ("cp1252", "Zähler".encode(), "formats.not-in-encoding", {"encoding": "cp1252", "reason": "UTF-8"}),
        ("gb18030", "户号".encode(), "formats.not-in-encoding", {"encoding": "gb18030", "reason": "UTF-8"}),
        ("utf-8", b"Z\xe4hler", "formats.not-utf8", {}),
        ("", b"Z\xe4hler", "formats.encoding-unsure", {"candidates": "gb18030, cp1252"}),
    ],
)
def test_a_line_that_does_not_fit_is_refused(
    name: str, line: bytes, code: str, params: dict[str, str]
) -> None:
    with pytest.raises(FormatError) as caught:
        Encoding(name, ("gb18030", "cp1252")).decode(line)
    assert (caught.value.code, caught.value.params) == (code, params)


def test_a_kept_mapping_says_the_encoding() -> None:
    text = GERMAN.format("Süd", "Köln")
    mapping = detect_content(text.encode("cp1252")).mapping
    assert mapping.encoding == "cp1252"
    assert parse_mapping(mapping.to_json()) == mapping
    errors = read_file(text.encode("cp1252").replace(b"K\xf6", b"K\x81"), mapping).errors
    assert [(e.line, e.code, e.params["reason"]) for e in errors] == [(3, "formats.not-in-encoding", "0x81")]
    assert {block.usage_point for block in read_file(text.encode("utf-16"), mapping).blocks} == {
        "Süd",
        "Köln",
    }
    with pytest.raises(FormatError, match=r"formats\.encoding-unknown"):
        replace(mapping, encoding="latin-1")
    for unknown in ("utf-7", "gbk2", "\0", "base64"):
        with pytest.raises(FormatError, match=r"formats\.encoding-unknown"):
            CsvOptions(encoding=unknown)


@pytest.mark.parametrize(
    ("called", "name"),
    [
        *[(called, "gb18030") for called in ("gbk", "GBK", "gb2312", "cp936", "936", "GB18030", "euc-cn")],
        *[(called, "cp1252") for called in ("windows-1252", "CP1252")],
        *[(called, "utf-8") for called in ("utf8", "UTF-8", "utf-8-sig", "UTF_8_SIG")],
    ],
)
def test_an_encoding_has_many_names(called: str, name: str) -> None:
    assert CsvOptions(encoding=called).to_mapping().encoding == name
    assert replace(mapping_of(CHINESE.format("张三", "李四")), encoding=called).encoding == name


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_told_by_its_first_kilobyte(codec: str) -> None:
    """Where it may be anything else it is refused, as it was."""
    text = CHINESE.format("张三", "李四") + "".join(f"A,2026-03-02 {hour:02}:00,1\n" for hour in range(24))
    (marked, bare) = (detect_content((mark + text).encode(codec)) for mark in ("\ufeff", ""))
    assert bare.mapping == marked.mapping
    for other in ("数据" * 400 + text, "a\x01,b\n" * 200, "a\ufffd" * 9):
        with pytest.raises(FormatError, match=r"formats\.unknown"):
            read_file(("\n" * 9 + other).encode(codec), CsvOptions())
    for content in (b"\0\0a\0" * 99, b"a\0\0b" * 99, b"ab\0cd" * 99, bytes(999), b"ustar\0\x0000" * 20):
        with pytest.raises(FormatError, match=r"formats\.unknown"):
            read_file(content, CsvOptions())


def test_an_unsure_encoding_is_a_question() -> None:
    content = "Nähe;Zeit;kWh\nA;2026-03-01 00:00;1\nA;2026-03-01 00:15;1\n".encode("cp1252")
    found = detect_content(content)
    assert (found.mapping.encoding, found.questions[0]) == ("", "encoding")
    assert (encoding_told(content), encoding_told(content, "cp1252")) == ("", "cp1252")
    plain: Mapping = detect_content(PLAIN.format("UP-1").encode()).mapping
    assert (plain.encoding, encoding_told(b"a,b")) == ("", "")
