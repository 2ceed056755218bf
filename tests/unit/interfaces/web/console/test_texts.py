"""Every text in both languages: nothing untranslated in the catalogue, nothing bare in a template."""

import re

import pytest

from texts import bare_words, catalogue, templates, texts_of_ours, texts_of_python, texts_of_template

BOTH_AT_ONCE = {"500.html"}  # nothing can be translated when everything failed: it speaks both languages
_PLACE = re.compile(r"%\(\w+\)s")


def test_nothing_lacks_a_chinese_text() -> None:
    known = catalogue("django")
    assert {text: place for text, place in texts_of_ours().items() if not known.get(text)} == {}


def test_nothing_is_translated_that_nobody_says() -> None:
    assert set(catalogue("django")) - set(texts_of_ours()) == set()


def test_translations_keep_their_places() -> None:
    for text, translated in catalogue("django").items():
        assert sorted(_PLACE.findall(text)) == sorted(_PLACE.findall(translated)), text


def test_no_word_stands_bare_in_a_template() -> None:
    bare = {path.name: bare_words(path.read_text()) for path in templates() if path.name not in BOTH_AT_ONCE}
    assert {name: found for name, found in bare.items() if found} == {}


@pytest.mark.parametrize(
    "template",
    ["<p>Hello</p>", '<input placeholder="Hello">', '{% load i18n %}<b title="Hello">{{ x }}</b>'],
)
def test_a_bare_word_is_seen(template: str) -> None:
    assert bare_words(template) == ["Hello"]


def test_texts_are_found_wherever_they_stand() -> None:
    block = "{% blocktranslate with a=b %}Two {{ a }}{% endblocktranslate %}"
    template = "{% load i18n %}<p title=\"{% translate 'One' %}\">" + block
    assert texts_of_template(template) == {"One", "Two %(a)s"}
    assert texts_of_python(b'x = _("Three")\ny = gettext("Four")\nz = other("Five")') == {"Three", "Four"}
