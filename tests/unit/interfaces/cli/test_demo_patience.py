"""How long the check waits: for as long as less and less is left, and not for ever."""

import time

import pytest


def test_patience_lasts_while_less_and_less_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from wattkeeper.interfaces.cli.demo.proof import Patience

    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    patience = Patience(60)
    for left_count in range(10, 0, -1):
        now_s += 59
        assert not patience.is_over(left_count)
    now_s += 60
    assert not patience.is_over(2)
    now_s += 1
    assert patience.is_over(2), "more than the least there was is no progress"
    assert patience.is_over(1)
    assert not patience.is_over(0)
