"""Finds every text of ours that a reader can meet, and what stands bare in a template."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from django.utils.translation.template import templatize

SOURCE = Path(__file__).resolve().parents[1] / "src" / "wattkeeper"
KEYWORDS = ("gettext", "gettext_lazy", "gettext_noop", "_")
_COMMENT = re.compile(r"{#.*?#}|{% comment .*?endcomment %}", re.DOTALL)
_BLOCK = re.compile(r"{% blocktranslate.*?{% endblocktranslate %}", re.DOTALL)
_TAG = re.compile(r"{%.*?%}|{{.*?}}", re.DOTALL)
_SPOKEN = re.compile(
    r'\b(?:aria-label|placeholder|title|alt|data-(?:label|empty|measured|estimated|time))="([^"]*)"'
)
_ELEMENT = re.compile(r"<[^>]*>", re.DOTALL)
_WORD = re.compile(r"[A-Za-z\u4e00-\u9fff]{2,}")
# names and units that are the same in every language
SAME = {"Wattkeeper", "电表管家", "English", "简体中文", "OBIS", "CSV", "kWh", "ms", "doctype", "html"}


def catalogue(domain: str) -> dict[str, str]:
    """Return the Chinese text of each English one."""
    with (SOURCE / f"interfaces/locale/zh_Hans/LC_MESSAGES/{domain}.po").open("rb") as file:
        return {str(message.id): str(message.string or "") for message in read_po(file) if message.id}


def texts_of_python(source: bytes) -> set[str]:
    """Return the texts that a module hands to gettext."""
    found = extract_python(io.BytesIO(source), KEYWORDS, (), {})
    return {text for _line, _name, text, _comments in found if isinstance(text, str) and text}


def texts_of_template(source: str) -> set[str]:
    """Return the texts of a template's translate tags as Django looks them up: it doubles each %."""
    flat = "\n".join(line.strip() for line in templatize(source).splitlines())
    return texts_of_python(flat.encode())


def texts_of_ours() -> dict[str, str]:
    """Return every text with a file it stands in."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*")):
        if path.suffix == ".py" and b"gettext" in path.read_bytes():
            texts = texts_of_python(path.read_bytes())
        elif path.suffix == ".html":
            texts = texts_of_template(path.read_text())
        else:
            continue
        found |= {text: str(path.relative_to(SOURCE)) for text in sorted(texts)}
    return found


def bare_words(template: str) -> list[str]:
    """Return words of a template that a reader would meet untranslated."""
    flat = _TAG.sub("", _BLOCK.sub("", _COMMENT.sub("", template)))
    spoken = " ".join(_SPOKEN.findall(flat))
    words = _WORD.findall(_ELEMENT.sub(" ", flat) + " " + spoken)
    return [word for word in words if word not in SAME]


def templates() -> Iterator[Path]:
    """Yield every template of the console."""
    yield from sorted((SOURCE / "interfaces/web/console/templates").rglob("*.html"))
