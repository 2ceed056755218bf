"""The language a shell speaks: asked for, or the one of its locale.

What it says beside the sentences of codes is in ``locale/zh_Hans/LC_MESSAGES/shell.po``: help, headings,
refusals of a call. A message id is the English text.
"""

import os
from contextvars import ContextVar

from wattkeeper.interfaces.messages import catalogue_of, to_language

_language: ContextVar[str] = ContextVar("language", default="")


def choose_language(wanted: str) -> None:
    """Speak the language asked for; the locale's where nothing was."""
    _language.set(to_language(wanted) if wanted else "")


def current_language() -> str:
    """Return ``en`` or ``zh-hans``."""
    chosen = _language.get()
    if chosen:
        return chosen
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):  # in gettext's order
        if os.environ.get(name):
            return to_language(os.environ[name])
    return "en"


def spoken(text: str) -> str:
    """Return an English text of the shell in the language it speaks."""
    return catalogue_of(current_language(), "shell").gettext(text) if text else ""
