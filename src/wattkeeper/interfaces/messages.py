"""Codes as sentences: what happened and what to do, in the reader's language. No Django: the shell uses it.

The catalogues are ``locale/<language>/LC_MESSAGES/codes.po``; a message id is the code, ``{name}`` in the
sentence is a parameter, ``dlms.*`` speaks for codes of that family without a sentence of their own.
A parameter ``kind`` that is ``meter`` is said as ``kind.meter``, where there is such a word.
"""

import gettext
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter

LOCALE_FOLDER = Path(__file__).parent / "locale"
DOMAIN = "codes"
LANGUAGES = {"en": "en", "zh-hans": "zh_Hans"}
FALLBACK = "fallback"


def sentence(code: str, params: Mapping[str, object] | None = None, language: str = "en") -> str:
    """Return the sentence of a code; a general one that shows the code where it has none of its own."""
    known = {name: _words(name, value, language) for name, value in (params or {}).items()} | {"code": code}
    known["details"] = ", ".join(f"{name}: {value}" for name, value in (params or {}).items())
    return template_of(code, language).format_map(defaultdict(lambda: "?", known))


def template_of(code: str, language: str = "en") -> str:
    """Return the sentence of a code, or the one that speaks for it, with its parameters' places."""
    keys = (code, f"{code.split('.')[0]}.*", FALLBACK)
    return next((text for text in (word(key, language) for key in keys) if text), "{code} {details}")


def places_of(template: str) -> set[str]:
    """Return the names of the parameters that a sentence tells."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def word(key: str, language: str = "en") -> str:
    """Return what the catalogue of codes has under a key, empty where it has nothing."""
    text = catalogue_of(to_language(language), DOMAIN).gettext(key)
    return "" if text == key else text


def _words(name: str, value: object, language: str) -> str:
    """Return a parameter as people read it: the word for it where there is one, a list with commas."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return word(f"{name}.{value}", language) or str(value)


def to_language(wanted: str) -> str:
    """Return the language of ours that a tag such as ``zh-CN`` or ``zh_CN.UTF-8`` asks for."""
    return "zh-hans" if wanted.lower().startswith("zh") else "en"


@cache
def catalogue_of(language: str, domain: str) -> gettext.NullTranslations:
    """Return a catalogue of ours, an empty one where there is none."""
    return gettext.translation(domain, LOCALE_FOLDER, [LANGUAGES[language]], fallback=True)
