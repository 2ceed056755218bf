"""Everything that a reader or writer of files says of a row has a sentence of its own, in both languages."""

import re
from pathlib import Path

import pytest

from wattkeeper import formats
from wattkeeper.interfaces.messages import sentence

_CODE = re.compile(r'"((?:nem1[23]|csv|formats|mscons|xml|xlsx|archive|mapping)\.[a-z][a-z0-9-]{3,})"')
_NOTE_NAMES = {"mscons.quality", "mscons.unit"}


def codes() -> set[str]:
    """Return the codes that the readers and writers name."""
    files = Path(formats.__file__).parent.glob("*.py")
    return {code for file in files for code in _CODE.findall(file.read_text())} - _NOTE_NAMES


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_code_has_its_sentence(language: str) -> None:
    found = codes()
    assert {"nem12.quality-unknown", "nem12.method-missing", "formats.off-grid"} <= found
    catch_all = {sentence(f"{code.partition('.')[0]}.nothing", {}, language) for code in found}
    plain = {re.sub(r"\([^()]*\)|（[^（）]*）", "", text) for text in catch_all}
    said = {code: re.sub(r"\([^()]*\)|（[^（）]*）", "", sentence(code, {}, language)) for code in found}
    assert {code for code, text in said.items() if text in plain or code in text} == set()
