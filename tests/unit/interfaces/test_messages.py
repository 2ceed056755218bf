"""Every code has a sentence in both languages, with the same parameters, and none is empty."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from codes import codes_in, codes_raised
from wattkeeper.data.billing.models import RebillProposal
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.interfaces.messages import (
    FALLBACK,
    LANGUAGES,
    LOCALE_FOLDER,
    places_of,
    sentence,
    to_language,
)


def catalogue(language: str) -> dict[str, str]:
    path = LOCALE_FOLDER / LANGUAGES[language] / "LC_MESSAGES" / "codes.po"
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


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
    assert {c for c in english if places_of(english[c]) != places_of(chinese[c])} == set()


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
    assert header.startswith("The header is not right: missing value, unit, unknown -. ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_row_that_comes_twice_is_not_said_to_differ(language: str) -> None:
    """It may be the very same; which one stays is said of each kind of file alike."""
    codes = ("csv.interval-twice", "espi.reading-twice", "iec61968.reading-twice")
    assert len({sentence(code, {}, language) for code in codes}) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_header_of_other_columns_says_the_way_on(language: str) -> None:
    assert "`wattkeeper mapping guess " in sentence(
        "csv.wrong-header", {"missing": [], "unknown": []}, language
    )


def test_every_kind_that_can_be_missing_has_a_word() -> None:
    sources = [path.read_text("utf-8") for path in (LOCALE_FOLDER.parents[1]).rglob("*.py")]
    said = {kind for text in sources for kind in re.findall(NAMED, text)}
    own = {name.lower() for text in sources for name in re.findall(r"\bown\(([A-Z]\w+), ", text)}
    for language in LANGUAGES:
        known = catalogue(language)
        assert not {kind for kind in said | own if f"kind.{kind}" not in known}


def test_states_in_sentences_are_words() -> None:
    states = {str(state) for model in (StoredEdit, RebillProposal) for state in model.State.values}
    for language in LANGUAGES:
        assert not {state for state in states if f"state.{state}" not in catalogue(language)}
    assert (
        sentence("vee.edit-state", {"state": "REJECTED"}, "zh-hans")
        == "该编辑的状态为 已拒绝：不能再进行此操作。"
    )


@pytest.mark.parametrize(
    ("reason", "said"), [("constraint", "out of range"), ("min_value", "too small"), ("blank", "it is empty")]
)
def test_reasons_are_words_of_the_language(reason: str, said: str) -> None:
    params = {"field": "base_power_w", "reason": reason, "value": "0"}
    assert sentence("registry.invalid-field", params) == f"base_power_w is not right ({said}): 0"
    assert reason not in sentence("registry.invalid-field", params, "zh-hans")


def wrong_words(is_wrong: Callable[[str, str], bool]) -> list[str]:
    """Return the texts of which the English, in small letters, and the Chinese do not fit."""
    english = {"codes": catalogue("en")}
    wrong = []
    for path in (LOCALE_FOLDER / LANGUAGES["zh-hans"]).rglob("*.po"):
        with path.open("rb") as file:
            told = {str(message.id): str(message.string) for message in read_po(file) if message.id}
        texts = {key: english.get(path.stem, {}).get(key, key).lower() for key in told}
        wrong += [key for key, text in texts.items() if is_wrong(text, told[key])]
    return wrong


def test_a_customer_and_a_user_are_two_words() -> None:
    assert wrong_words(is_wrong_person) == []


def test_an_interval_and_a_period_are_two_words() -> None:
    assert wrong_words(is_wrong_interval) == []
    assert is_wrong_interval("the interval is there twice", "该时段重复")
    assert not is_wrong_interval("the value's period", "该值的时段")


def is_wrong_interval(english: str, chinese: str) -> bool:
    """Whether a text says 时段 of an interval, which is 区间; 时段 is a period of time."""
    return bool(re.search(r"\bintervals?\b", english)) and "时段" in chinese and "period" not in english


def is_wrong_person(english: str, chinese: str) -> bool:
    """Whether a text says 客户 of who logs in, or 用户 of who takes the energy; 客户端 is a client."""
    is_of_user = re.search(r"user|password|who (does|asks)", english)
    is_of_customer = re.search(r"customer|class profile|as of the contract", english)
    return ("用户" in chinese and not is_of_user) or (
        "客户" in chinese.replace("客户端", "") and not is_of_customer
    )


def test_a_wrong_person_is_seen() -> None:
    assert is_wrong_person("erase the customer", "清除用户")
    assert is_wrong_person("user name", "客户名")
    assert not is_wrong_person("the client tools", "客户端工具")
