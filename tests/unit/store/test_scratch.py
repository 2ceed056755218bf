"""What nobody holds any more goes, what somebody holds stays."""

import os
from pathlib import Path

from wattkeeper.store.scratch import hold, scratch_folder, take_away_dead, take_away_scratch


def test_what_is_held_stays_and_what_its_maker_left_goes(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "drill") as (folder, _):
        left = tmp_path / "scratch" / "drill-of-a-dead-one"
        (left / "incoming").mkdir(parents=True)
        take_away_scratch(tmp_path)
        assert folder.exists()
        assert not left.exists()
    assert not folder.exists()
    assert tmp_path.exists()


def test_a_lock_ends_with_the_last_that_has_it(tmp_path: Path) -> None:
    file = tmp_path / "one.part"
    file.touch()
    lock = hold(file)
    assert lock is not None
    passed_on = os.dup(lock)
    os.close(lock)
    take_away_dead([file])
    assert file.exists()
    os.close(passed_on)
    take_away_dead([file])
    assert not file.exists()
    assert hold(file) is None
