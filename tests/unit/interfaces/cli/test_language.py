"""Which language a shell speaks, by its variables in gettext's order."""

import pytest

from wattkeeper.interfaces.cli.language import choose_language, current_language

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_says_the_language(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    choose_language("")
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert current_language() == "en"
    monkeypatch.setenv(name, "zh_CN:en")
    monkeypatch.setenv(
        VARIABLES[min(VARIABLES.index(name) + 1, 3)], "zh_CN:en" if name == "LANG" else "en_GB.UTF-8"
    )
    assert current_language() == "zh-hans"
