"""Elements of an XML file as they close, with their lines, and nothing that could reach outside the file.

A document type is refused: without one there are no entities to expand, inside or outside (XXE, billion
laughs), and nothing is ever silently empty. Names are local: namespaces are not told apart.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO
from xml.parsers import expat

from wattkeeper.formats.api import ErrorList, FormatError

_CHUNK_BYTES = 64 * 1024
_DEPTH_AT_MOST = 100
_TAG_BYTES_AT_MOST = 1024 * 1024  # a tag that is not over is looked at from its beginning with each chunk
ELEMENTS_AT_MOST = 100_000  # in an element that is wanted and not over; each takes some hundred bytes
_TEXT_LENGTH_AT_MOST = 64 * 1024  # no name, number or note is as long: the rest is nobody's
_NAME_SEPARATOR = "\x1f"
_ENCODING_UNKNOWN = (LookupError, ValueError)  # what Python's codecs raise through the parser


class Element:
    """An element: local name, attributes, text before its first child, children, the line it begins on."""

    __slots__ = ("attributes", "children", "line", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.name = name
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Element] = []

    def find(self, *path: str) -> "Element | None":
        """Return the first element under a path of names, None where there is none."""
        found: Element | None = self
        for name in path:
            found = next((one for one in found.children if one.name == name), None) if found else None
        return found

    def find_all(self, name: str) -> list["Element"]:
        """Return the children of a name."""
        return [one for one in self.children if one.name == name]

    def text_of(self, *path: str) -> str:
        """Return the text under a path of names, stripped; nothing where there is none."""
        found = self.find(*path)
        return found.text.strip() if found else ""


def iter_elements(
    source: BinaryIO | bytes, names: frozenset[str], errors: ErrorList, begun: str = ""
) -> Iterator[Element]:
    """Yield each element of one of some names when it closes; inner ones come first and are not children.

    What is not well-formed is an error, and ends the file there; an element called `begun` that is open then
    comes last, as far as it was read.

    :raises FormatError: ``xml.doctype``, ``xml.too-deep``, ``xml.tag-too-long``, ``xml.too-many-elements``
    """
    file = BytesIO(source) if isinstance(source, bytes) else source
    builder = _Builder(names)
    is_last = False
    fed_bytes = 0
    while not is_last:
        data = file.read(_CHUNK_BYTES)
        is_last = not data
        fed_bytes += len(data)
        try:
            builder.parser.Parse(data, is_last)
        except expat.ExpatError as error:
            yield from builder.drain()
            reason = expat.errors.messages.get(error.code, "")
            errors.add(error.lineno, error.offset + 1, "xml.broken", reason=reason)
            yield from builder.open_ones(begun)
            return
        except _ENCODING_UNKNOWN as error:
            errors.add(builder.parser.CurrentLineNumber, 0, "xml.broken", reason=str(error))
            return
        _check_tag(builder.parser, fed_bytes)
        yield from builder.drain()


def refuse_doctype(content: bytes) -> None:
    """Refuse an XML file of whatever kind that declares a document type before its first element.

    :raises FormatError: ``xml.doctype``, ``xml.tag-too-long``
    """
    parser = expat.ParserCreate()
    is_past = False

    def refuse(*_parts: object) -> None:
        raise FormatError("xml.doctype", line=parser.CurrentLineNumber)

    def pass_on(*_parts: object) -> None:
        nonlocal is_past
        is_past = True

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = pass_on
    for first in range(0, len(content), _CHUNK_BYTES):
        try:
            parser.Parse(content[first : first + _CHUNK_BYTES], False)
        except (expat.ExpatError, *_ENCODING_UNKNOWN):
            return
        if is_past:
            return
        _check_tag(parser, min(first + _CHUNK_BYTES, len(content)))


def _check_tag(parser: expat.XMLParserType, fed_bytes: int) -> None:
    if fed_bytes - parser.CurrentByteIndex > _TAG_BYTES_AT_MOST:
        line = parser.CurrentLineNumber
        raise FormatError("xml.tag-too-long", line=line, limit_bytes=_TAG_BYTES_AT_MOST)


class _Builder:
    """Builds the wanted elements from the parser's events."""

    def __init__(self, names: frozenset[str]) -> None:
        self.parser = expat.ParserCreate(namespace_separator=_NAME_SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._names = names
        self._open: list[Element | None] = []  # None: outside of what is wanted
        self._done: list[Element] = []
        self._counts: list[int] = []  # of what is in each open element that is wanted, inner ones left out

    def drain(self) -> list[Element]:
        done, self._done = self._done, []
        return done

    def open_ones(self, name: str) -> list[Element]:
        return [element for element in self._open if element is not None and element.name == name]

    def _refuse_doctype(self, *_parts: object) -> None:
        raise FormatError("xml.doctype", line=self.parser.CurrentLineNumber)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(_NAME_SEPARATOR)[2]
        parent = self._open[-1] if self._open else None
        if parent is None and local not in self._names:
            self._open.append(None)
        else:
            element = Element(local, attributes, self.parser.CurrentLineNumber)
            if local in self._names:
                self._counts.append(0)
            elif parent is not None:
                parent.children.append(element)
                self._count()
            self._open.append(element)
        if len(self._open) > _DEPTH_AT_MOST:
            raise FormatError("xml.too-deep", line=self.parser.CurrentLineNumber)

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        if element is not None and element.name in self._names:
            self._counts.pop()
            self._done.append(element)

    def _count(self) -> None:
        self._counts[-1] += 1
        if self._counts[-1] > ELEMENTS_AT_MOST // len(self._counts):
            line = self.parser.CurrentLineNumber
            raise FormatError("xml.too-many-elements", line=line, limit_count=ELEMENTS_AT_MOST)

    def _text(self, text: str) -> None:
        element = self._open[-1]
        if element is not None and not element.children and len(element.text) < _TEXT_LENGTH_AT_MOST:
            element.text += text
