"""Every code has a sentence in both languages, with the same parameters, and none is empty."""

import re
import string
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from codes import codes_in, codes_raised
from wattkeeper.interfaces.messages import FALLBACK, LANGUAGES, LOCALE_FOLDER, sentence, to_language


def catalogue(language: str) -> dict[str, str]:
    path = LOCALE_FOLDER / LANGUAGES[language] / "LC_MESSAGES" / "codes.po"
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_raised_has_a_sentence(language: str) -> None:
    known = catalogue(language)
    missing = {code: place for code, place in codes_raised().items() if not has_sentence(code, known)}
    assert not missing


def has_sentence(code: str, known: dict[str, str]) -> bool:
    """Whether a code speaks for itself, or for device answers through its family."""
    return code in known or f"{code.split('.')[0]}.*" in known


def test_a_code_without_a_sentence_is_seen() -> None:
    found = set(codes_in('raise WattkeeperError("ghost.seen", name="x")'))
    assert found == {"ghost.seen"}
    assert not has_sentence("ghost.seen", catalogue("en"))


def test_both_languages_say_the_same_of_the_same_codes() -> None:
    english, chinese = catalogue("en"), catalogue("zh-hans")
    assert set(english) == set(chinese)
    assert {c for c in english if placeholders(english[c]) != placeholders(chinese[c])} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_entry_is_empty(language: str) -> None:
    assert not [code for code, text in catalogue(language).items() if not text.strip()]


def test_every_catalogue_of_the_project_is_whole() -> None:
    empty = []
    for path in LOCALE_FOLDER.rglob("*.po"):
        with path.open("rb") as file:
            empty += [
                (path.name, message.id) for message in read_po(file) if message.id and not message.string
            ]
    assert not empty


def test_a_sentence_survives_missing_and_strange_parameters() -> None:
    assert "?" in sentence("links.in-use", {})
    assert "{x}" in sentence("links.in-use", {"link": "{x}", "meters_count": 1})
    assert "no.such-code" in sentence("no.such-code", {"a": 1}, "zh-hans")
    assert FALLBACK not in sentence("no.such-code")


@pytest.mark.parametrize(
    ("tag", "language"),
    [("zh-CN", "zh-hans"), ("zh_CN.UTF-8", "zh-hans"), ("de", "en"), ("", "en"), ("C", "en")],
)
def test_language_tags(tag: str, language: str) -> None:
    assert to_language(tag) == language
    assert Path(LOCALE_FOLDER / LANGUAGES[language]).is_dir()


NAMED = r'(?:"registry\.not-found", kind=|\bfound\([^"()]*(?:\([^"]*\))?, )"([\w-]+)"'


def test_parameters_are_words_of_the_language() -> None:
    assert sentence("registry.not-found", {"kind": "usagepoint", "id": "A"}) == "There is no usage point A."
    assert sentence("registry.not-found", {"kind": "usagepoint", "id": "A"}, "zh-hans") == "没有 计量点 A。"
    header = sentence("csv.wrong-header", {"missing": ["value", "unit"], "unknown": []})
    assert header == "The header is not right: missing value, unit, unknown -."


def test_every_kind_that_can_be_missing_has_a_word() -> None:
    sources = [path.read_text("utf-8") for path in (LOCALE_FOLDER.parents[1]).rglob("*.py")]
    said = {kind for text in sources for kind in re.findall(NAMED, text)}
    own = {name.lower() for text in sources for name in re.findall(r"\bown\(([A-Z]\w+), ", text)}
    for language in LANGUAGES:
        known = catalogue(language)
        assert not {kind for kind in said | own if f"kind.{kind}" not in known}
