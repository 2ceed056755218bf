"""The shell speaks the language asked for in help, headings and refusals; nothing is untranslated."""

import re
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from relational import People
from shell_runner import run
from shell_texts import texts_of_commands, texts_of_module, texts_of_shell
from texts import SOURCE, catalogue
from wattkeeper.interfaces.cli.language import choose_language, spoken
from wattkeeper.interfaces.cli.main import app

ENGLISH = re.compile(
    r"Usage|Options|Arguments|Commands|Error|Try|Show|required|default|Missing|No such|Invalid|Aborted"
)
PLACE = re.compile(r"\{\w*\}")


@pytest.fixture(autouse=True)
def wide_and_english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be wrapped, and the environment ask for English."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C")
    choose_language("")


def said(*arguments: str, exit_code: int) -> str:
    """Run a command that must end with `exit_code` and return all that it said."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == exit_code, result.output
    return result.output


def test_nothing_of_the_shell_lacks_a_chinese_text() -> None:
    known = catalogue("shell")
    assert {text: place for text, place in texts_of_shell().items() if not known.get(text)} == {}


def test_nothing_is_translated_that_the_shell_does_not_say() -> None:
    assert set(catalogue("shell")) - set(texts_of_shell()) == set()


def test_translations_keep_their_places() -> None:
    for text, translated in catalogue("shell").items():
        assert sorted(PLACE.findall(text)) == sorted(PLACE.findall(translated)), text


def test_a_new_option_is_seen() -> None:
    planted = typer.Typer(help="Planted.")

    @planted.command()
    def grow(colour: Annotated[str, typer.Option(help="colour of the bill")] = "") -> None:
        """Grow."""

    @planted.command()
    def wither() -> None:
        """Wither."""

    lacking = (
        texts_of_commands(typer.main.get_command(planted), "planted").items() - catalogue("shell").items()
    )
    assert {
        ("Planted.", "planted"),
        ("Grow.", "planted grow"),
        ("colour of the bill", "planted grow"),
        ("Wither.", "planted wither"),
    } <= lacking


@pytest.mark.parametrize(
    ("module", "texts"),
    [
        ("keys.py", {"keys", "plain", "destroyed", "values"}),  # spoken and counted
        ("shell.py", {"yes", "no"}),
        ("sites.py", {"meters_answering_count"}),  # columns of its function
        ("archives.py", {"file_sha256"}),  # of its module
        ("imports.py", {"rows", "meters", "errors", "intervals"}),  # of another module
        ("energy.py", {"period", "energy_milliwh", "code"}),  # one or the other
    ],
)
def test_words_of_a_module_are_found(module: str, texts: set[str]) -> None:
    assert texts <= texts_of_module(SOURCE / "interfaces/cli" / module)


@pytest.mark.parametrize(
    ("arguments", "english", "chinese"),
    [
        (["job", "show"], "Missing argument 'job_id'.", "缺少参数 'job_id'。"),
        (["meter", "retire", "x"], "Missing option '--at'.", "缺少选项 '--at'。"),
        (["job", "show", "x"], "valid integer", "'job_id' 的值无效：应为整数"),
        (["job", "show", "9" * 5000], "exceeded maximum size", "'job_id' 的值无效：整数过大"),
        (["job", "list", "--limt"], "No such option: --limt", "没有选项 --limt。"),
        (["bill", "list", "--limt"], "(Possible options: --limit)", "没有选项 --limt。相近的选项：--limit"),
        (["job", "list", "--kind"], "requires an argument", "选项 '--kind' 需要一个值。"),
        (["job", "list", "--json=1"], "does not take a value", "选项 '--json' 不带值。"),
        (["job", "list", "yes"], "unexpected extra argument(s) (yes)", "多余的参数：yes"),
        (["job", "lisst"], "Did you mean 'list'?", "没有命令 'lisst'。您要找的是 'list' 吗？"),
        (["jobb"], "No such command 'jobb'.", "没有命令 'jobb'。"),
        ([], "Missing command.", "缺少命令。"),
        (["--nope"], "No such option: --nope", "没有选项 --nope。"),
        (["decode", "iec"], "iec", "没有名为 iec 的协议"),
    ],
)
def test_a_wrong_call_is_refused_in_the_language_asked_for(
    arguments: list[str], english: str, chinese: str
) -> None:
    assert english in said("--lang", "en", *arguments, exit_code=2)
    told = said("--lang", "zh-hans", *arguments, exit_code=2)
    assert chinese in told
    assert ENGLISH.search(told) is None


@pytest.mark.parametrize("arguments", [["--lang", "zh-hans", "--help"], ["--help", "--lang=zh-hans"]])
def test_help_speaks_the_language_asked_for(arguments: list[str]) -> None:
    told = run(*arguments)
    assert "用法：" in told
    assert "解析截获的报文" in told
    assert "Usage: " in run("--help")


@pytest.mark.parametrize("name", ["LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"])
def test_help_speaks_the_language_of_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "zh_CN.UTF-8")
    assert "在计量点安装电能表。" in run("meter", "--help")
    assert "Install a meter at a usage point." in run("--lang", "en", "meter", "--help")


@pytest.mark.parametrize("command", [["accuracy", "add"], ["bill"], ["convert"], ["demo"], []])
def test_no_word_of_help_is_left_in_english(command: list[str]) -> None:
    told = run("--lang", "zh-hans", *command, "--help")
    assert ENGLISH.search(told) is None
    if command == ["accuracy", "add"]:
        assert all(word in told for word in ("[必填]", "[默认：30]", "参数", "选项"))


def test_help_that_is_called_by_its_group_alone() -> None:
    told = said("--lang", "zh-hans", "meter", exit_code=2)
    assert "换表。" in told
    assert ENGLISH.search(told) is None


def test_long_chinese_lines_are_wrapped_and_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = run("--lang", "zh-hans", "--help")
    assert "…" not in told
    assert not re.search(r"^\W*[，。；：、）]", told, re.MULTILINE)  # no line begins with a closing mark
    choose_language("zh-hans")
    whole = spoken(
        "Prove that nothing is lost, doubled, moved or changed; say what is, where, and what was not proved."
    )
    assert whole in re.sub(r"[\s│]", "", told)


def test_tables_and_counts_speak_it_too(ours: People) -> None:
    run("user", "add", "li", "--role", "OPERATOR")
    english, chinese = run("user", "list"), run("--lang", "zh-hans", "user", "list")
    assert all(word in english for word in ("username", "is_active", "yes", "OPERATOR"))
    assert all(word in chinese for word in ("用户名", "可登录", "是", "OPERATOR"))


def test_a_question_left_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattkeeper.interfaces.cli.migrate.data_folder", lambda: "here")
    for typed in ("\n", "perhaps\n", ""):
        result = CliRunner().invoke(app, ["--lang", "zh-hans", "adopt"], input=typed)
        assert result.exit_code == 1
        assert "已中止。" in result.output
        assert ENGLISH.search(result.output) is None
