"""Codes as sentences: what happened and what to do, in the reader's language. No Django: the shell uses it.

The catalogues are ``locale/<language>/LC_MESSAGES/codes.po``; a message id is the code, ``{name}`` in the
sentence is a parameter, ``dlms.*`` speaks for codes of that family without a sentence of their own.
"""

import gettext
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

LOCALE_FOLDER = Path(__file__).parent / "locale"
DOMAIN = "codes"
LANGUAGES = {"en": "en", "zh-hans": "zh_Hans"}
FALLBACK = "fallback"


def sentence(code: str, params: Mapping[str, object] | None = None, language: str = "en") -> str:
    """Return the sentence of a code; a general one that shows the code where it has none of its own."""
    catalogue = _catalogue(to_language(language))
    known: dict[str, object] = {**(params or {}), "code": code}
    known["details"] = ", ".join(f"{name}: {value}" for name, value in (params or {}).items())
    for key in (code, f"{code.split('.')[0]}.*", FALLBACK):
        text = catalogue.gettext(key)
        if text != key:
            return text.format_map(defaultdict(lambda: "?", {n: str(value) for n, value in known.items()}))
    return f"{code} {known['details']}".strip()


def to_language(wanted: str) -> str:
    """Return the language of ours that a tag such as ``zh-CN`` or ``zh_CN.UTF-8`` asks for."""
    return "zh-hans" if wanted.lower().startswith("zh") else "en"


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE_FOLDER, [LANGUAGES[language]], fallback=True)
