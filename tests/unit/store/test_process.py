"""Turns: one at a time, the interactive lane first."""

import threading
import time

from wattkeeper.store.process import Turns


def test_the_interactive_lane_goes_first() -> None:
    turns = Turns()
    order: list[str] = []

    def work(name: str, is_bulk: bool) -> None:
        with turns.turn(is_bulk=is_bulk):
            order.append(name)

    turns.take(is_bulk=False)
    threads = [threading.Thread(target=work, args=(f"bulk{index}", True)) for index in range(3)]
    threads += [threading.Thread(target=work, args=(f"page{index}", False)) for index in range(3)]
    for thread in threads:
        thread.start()
    while turns.waiting_count < len(threads):
        time.sleep(0.001)
    turns.give_back()
    for thread in threads:
        thread.join(10)
    assert sorted(order[:3]) == ["page0", "page1", "page2"]
    assert sorted(order[3:]) == ["bulk0", "bulk1", "bulk2"]


def test_a_turn_is_given_back_after_an_error() -> None:
    turns = Turns()
    for _ in range(2):
        try:
            with turns.turn(is_bulk=True):
                raise ValueError
        except ValueError:
            pass
    with turns.turn(is_bulk=False):
        assert turns.waiting_count == 0
