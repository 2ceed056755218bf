"""Which encoding a table's text has, as far as its bytes tell: UTF-8, GB18030 or Windows' cp1252.

Excel writes CSV in the code page of Windows: GBK, a part of GB18030, where that is Chinese, cp1252 in western
Europe. ASCII is the same in all of them, and a comma, semicolon, tab, quote or line end is never a byte of a
longer character (GB 18030: second bytes are 30-39, 40-7E, 80-FE), so no guess changes a number; a name could
become another one. Where the bytes don't tell for certain, lines that are not ASCII are refused.
"""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.detect import BOM
from wattkeeper.formats.lines import iter_chunks

ENCODINGS = ("utf-8", "gb18030", "cp1252")
_READ_AS = {"gbk": "gb18030", "gb2312": "gb18030", "utf-8-sig": "utf-8"}  # a part of it; with its mark
_HAN = re.compile(
    "户号|户名|用户|客户|表号|电表|表计|电能|电量|用电|供电|时间|时刻|日期|数据|数值|示数|单位|质量|状态|正向|反向|有功|无功"
    "|抄表|资产|计量|起码|止码|编号|名称|地址|功率|开始|结束|采集|测量|台区|站点|备注|倍率|电压|电流"
)
_WESTERN = re.compile(
    "zähl|gerät|qualität|größe|straße|rück|über|für|gültig|gebäude|schlüssel|stück|wärme|süd|höchst|prüf|änder|kürz|täglich"
    "|märz|büro|geschäft|österreich|münchen|düsseldorf|nürnberg|zürich|énergie|relevé|période|qualité|unité|données",
    re.IGNORECASE,
)
_LETTERS = "À-ÖØ-öø-ÿŠšŽžŒœŸ"
_NO_WORD = re.compile(  # two in a row but for öß as in Größe, a mark within a word, a letter by itself
    "(?![äöü]ß)[^\x00-\x7f][^\x00-\x7f]"
    f"|(?<=[A-Za-z])[^\x00-\x7f{_LETTERS}](?=[A-Za-z])"
    f"|(?<![A-Za-z{_LETTERS}])[{_LETTERS}](?![A-Za-z{_LETTERS}])"
)
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
_AFTER_LETTER = re.compile("(?<=[A-Za-z])[^\x00-\x7f]")


def _shared_bytes() -> bytes:
    """Return the bytes that western and central European Windows read alike: other ones tell neither."""
    each = [bytes([one]) for one in range(256)]
    return b"".join(one for one in each if one.decode("cp1252", "replace") == one.decode("cp1250", "replace"))


_SHARED = _shared_bytes()
_NEVER_WITHIN = bytes((*range(0x30), *range(0x3A, 0x40)))  # no byte of a longer character in any of them
_BETWEEN_WORDS = bytes.maketrans(_NEVER_WITHIN, b" " * len(_NEVER_WITHIN))


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding by its name; without one the bytes did not tell which of the candidates it is."""

    name: str
    candidates: tuple[str, ...] = ()

    def decode(self, line: bytes) -> str:
        """Return the text of a line.

        :raises FormatError: ``formats.not-utf8``, ``formats.not-in-encoding``, ``formats.encoding-unsure``
        """
        try:
            text = line.decode(self.name or "ascii")
        except UnicodeDecodeError as error:
            raise self._refusal(line[error.start]) from None
        if self.name != "utf-8" and not text.isascii() and _is_rather_utf8(line, self.name):
            raise FormatError("formats.not-in-encoding", encoding=self.name, reason="UTF-8")
        return text

    def _refusal(self, byte: int) -> FormatError:
        if not self.name:
            return FormatError("formats.encoding-unsure", candidates=", ".join(self.candidates))
        if self.name == "utf-8":
            return FormatError("formats.not-utf8")
        return FormatError("formats.not-in-encoding", encoding=self.name, reason=f"0x{byte:02X}")


def known_encoding(name: str) -> str:
    """Return which of `ENCODINGS` somebody calls so (``GBK``, ``cp936``, ``utf8``); nothing for nothing.

    :raises FormatError: ``formats.encoding-unknown``
    """
    try:
        found = codecs.lookup(name).name if name else ""
    except (LookupError, ValueError):
        found = name
    found = _READ_AS.get(found, found)
    if found and found not in ENCODINGS:
        raise FormatError("formats.encoding-unknown", encoding=name, known=", ".join(ENCODINGS))
    return found


def find_encoding(source: BinaryIO | bytes, named: str = "") -> Encoding:
    """Return the encoding of a table: by its mark, else as `named`, else as its bytes tell.

    A file is read to its end, some lines at a time, and set back to where it was.
    """
    file = BytesIO(source) if isinstance(source, bytes) else source
    at = file.tell()
    try:
        if file.read(len(BOM)) == BOM:
            return Encoding("utf-8")
        if named:
            return Encoding(named)
        file.seek(at)
        if all(_fits(chunk, "utf-8") for _line, chunk in iter_chunks(file)):
            return Encoding("utf-8")
        file.seek(at)
        return _told_apart(chunk for _line, chunk in iter_chunks(file))
    finally:
        file.seek(at)


def _told_apart(chunks: Iterable[bytes]) -> Encoding:
    """Return the encoding of what is not UTF-8.

    GB18030: all of it is, with a word in Chinese as such tables have. cp1252: all of it is, with such a word
    in German or French, each letter beyond ASCII stands in a word, and central Europe would read the same.
    Neither where words of UTF-8 are among them.
    """
    fits = dict.fromkeys(("gb18030", "cp1252"), True)
    has_utf8 = has_wide = has_han = has_word = has_latin = is_strange = False
    for chunk in chunks:
        words = {word for word in chunk.translate(_BETWEEN_WORDS).split() if not word.isascii()}
        text = b"\n".join(words)
        for name in fits:
            fits[name] = fits[name] and _fits(text, name)
        has_utf8 = has_utf8 or any(_fits(word, "utf-8") for word in words)
        has_wide = has_wide or any(_is_rather_utf8(word, "gb18030") for word in words)
        han = text.decode("gb18030", "replace")
        has_han = has_han or bool(_HAN.search(han))
        has_latin = has_latin or any(map(_has_letter, set(_AFTER_LETTER.findall(han))))
        western = text.decode("cp1252", "replace")
        has_word = has_word or bool(_WESTERN.search(western))
        is_strange = is_strange or bool(_NO_WORD.search(western) or text.translate(None, _SHARED))
    if fits["gb18030"] and has_han and not has_wide and not has_latin:
        return Encoding("gb18030")
    if fits["cp1252"] and has_word and not is_strange and not has_utf8:
        return Encoding("cp1252")
    candidates = [name for name in ENCODINGS if fits.get(name, has_utf8)]
    return Encoding("", tuple(candidates)) if any(fits.values()) else Encoding("utf-8")


def _has_letter(char: str) -> bool:
    """Whether the second byte of a character of GB18030 is a small letter, as in Kö-l-n read so."""
    return char.encode("gb18030")[1:2].islower()


def _is_rather_utf8(line: bytes, name: str) -> bool:
    """Whether a text said to be in another encoding is one of UTF-8, for all that chance would do.

    Two bytes may be a letter of UTF-8 and a character of GB18030; the three of a Chinese one hardly ever are.
    """
    if line.isascii() or not _fits(line, "utf-8"):
        return False
    return name == "cp1252" or bool(_IDEOGRAPH.search(line.decode("utf-8")))


def _fits(text: bytes, name: str) -> bool:
    if text.isascii():
        return True
    try:
        text.decode(name)
    except UnicodeDecodeError:
        return False
    return True
