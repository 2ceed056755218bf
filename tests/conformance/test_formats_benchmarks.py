"""The benchmarks of formats at a part of their size: what is read and what peers read is the generator's."""

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow
WRONG = 1


@pytest.fixture(params=["formats_nem12", "formats_mscons"])
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    monkeypatch.setattr(sys, "argv", [request.param, "--values", "6000"])
    return import_module(request.param)


def test_a_benchmark_finds_its_truth(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code != WRONG  # a ratio may be missed where so little is read
    assert json.loads(capsys.readouterr().out)["is_right"]


def test_a_value_read_wrongly_is_seen(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    name = benchmark.__name__.replace("formats_", "read_")
    read = getattr(benchmark, name)

    def read_wrongly(source: Any) -> Any:
        parsed = read(source)
        parsed.blocks[0].value_milliwh[7] += 1
        return parsed

    monkeypatch.setattr(benchmark, name, read_wrongly)
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == WRONG
