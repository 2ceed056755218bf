"""Backup in use, restore into nothing: the same state; damage, wrong secrets and full folders are refused."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conformance.backup_home import main_of
from conformance.stores import client, spawn
from schema_file import place_schema
from wattkeeper.actions.operations import backup as backup_verb
from wattkeeper.actions.operations.sealed import Kind, Secret
from wattkeeper.headend.spool import Spool
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.conformance_data import ALWAYS, MONTH_START_S, batch
from wattkeeper.store.scratch import take_away_scratch

PASSPHRASE = "a passphrase nobody guesses"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installation in a folder: migrated, with two homes, values, a bill, and its store running."""
    folder = tmp_path_factory.mktemp("home")
    process = spawn(folder)
    client(folder, process)
    place_schema(folder)
    subprocess.run(
        [sys.executable, "-m", "conformance.backup_home", str(folder)],
        env=environment(folder),
        check=True,
        timeout=280,
    )
    yield folder
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="module")
def backup(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup for tests that leave it as it is."""
    return back_up(home, tmp_path_factory.mktemp("backup"))


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("WATTKEEPER", "DJANGO"))
    }
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join(part for part in (tests, os.environ.get("PYTHONPATH", "")) if part)
    clock = {"WATTKEEPER_BACKUP_PASSPHRASE": PASSPHRASE, "WATTKEEPER_DATA": str(folder), "PYTHONPATH": path}
    return clean | clock | more


def run(folder: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", main_of(), *arguments],
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def told_by_the_store(folder: Path) -> str:
    """Return what the store of a folder wrote to its log: a restore takes nothing away when it fails."""
    log = folder / "log" / "store.log"
    return log.read_text()[-9_000:] if log.exists() else ""


def state(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "conformance.backup_home", str(folder), "state"],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def back_up(home: Path, target: Path, *options: str, **more: str) -> Path:
    done = run(home, "backup", str(target), *options, **more)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["path"])


def store_at(folder: Path) -> HttpReadingStore:
    return HttpReadingStore.of_file(folder / "run" / "store.json")


def test_an_empty_folder_becomes_the_same_installation(home: Path, tmp_path: Path) -> None:
    before = state(home)
    count_sql = "SELECT toInt64(count()) AS rows FROM rate_day FORMAT ArrowStream"
    assert store_at(home).select(count_sql).to_pylist()[0]["rows"] > 0, "determinants are part of the state"
    file = back_up(home, tmp_path / "backups")
    restored = run(tmp_path, "restore", str(file), str(tmp_path / "new"))
    assert restored.returncode == 0, restored.stderr
    told = json.loads(restored.stdout)
    assert told["state"] == before
    verified = run(tmp_path / "new", "verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["is_proved"]
    assert (tmp_path / "new" / "spool" / "segment-0000000001.sqlite").exists()
    assert not list((tmp_path / "new").glob("master.key")), "keys stay at home unless asked for"
    private = [tmp_path / "new", tmp_path / "new" / "archive", *(tmp_path / "new").glob("registry*")]
    assert not [path for path in private if path.stat().st_mode & 0o007], (
        "others of the machine read none of it"
    )
    assert not list((home / "scratch").iterdir()), "nothing unsealed is left"


def test_nothing_in_the_file_can_be_read_without_the_secret(backup: Path, tmp_path: Path) -> None:
    content = backup.read_bytes()
    for secret in (b"SQLite format", b"registry_tenant", b"260100000001", b"checksums.txt"):
        assert secret not in content
    assert backup.stat().st_mode & 0o077 == 0
    wrong = run(
        tmp_path,
        "restore",
        str(backup),
        str(tmp_path / "new"),
        WATTKEEPER_BACKUP_PASSPHRASE="another one, wrong",
    )
    assert wrong.returncode == 1
    assert "operations.sealed-wrong" in wrong.stderr
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_backup_is_refused(backup: Path, tmp_path: Path, damage: str) -> None:
    file, content = tmp_path / backup.name, bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    done = run(tmp_path, "restore", str(file), str(tmp_path / "new"))
    assert done.returncode == 1
    assert "operations.sealed-wrong" in done.stderr
    assert not list((tmp_path / "new").iterdir())


def test_a_folder_that_holds_anything_is_left_alone(backup: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    done = run(tmp_path, "restore", str(backup), str(taken))
    assert "operations.folder-not-empty" in done.stderr
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]


def test_keys_go_along_only_under_a_passphrase(home: Path, tmp_path: Path) -> None:
    key = tmp_path / "backup.key"
    key.write_bytes(os.urandom(32))
    refused = run(home, "backup", str(tmp_path), "--with-keys", "--key-file", str(key))
    assert "operations.keys-need-passphrase" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["backup.key"]
    with_keys = back_up(home, tmp_path / "keys", "--with-keys")
    assert run(tmp_path, "restore", str(with_keys), str(tmp_path / "new")).returncode == 0
    assert (tmp_path / "new" / "master.key").read_bytes() == (home / "master.key").read_bytes()
    by_file = back_up(home, tmp_path / "by-file", "--key-file", str(key))
    done = run(tmp_path, "restore", str(by_file), str(tmp_path / "other"), "--key-file", str(key))
    assert done.returncode == 0, done.stderr


def test_reads_that_arrive_during_a_backup_are_in_it_or_after_it(home: Path, tmp_path: Path) -> None:
    """Batches of many months come in while the backup is made: each is restored whole or not at all.

    The fault it has to see: a table that is frozen while an insert has written some of its months.
    """
    store, stop, stored = store_at(home), threading.Event(), []

    def insert() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            rows = [(9_000 + number, MONTH_START_S - 2 * 86_400 * i, i) for i in range(100)]
            store.insert_raw([batch(rows, tenant_id=99, batch_id=1_000 + number)])
            stored.append(number)

    writer = threading.Thread(target=insert)
    writer.start()
    before_count = len(stored)
    file = back_up(home, tmp_path / "backups")
    stop.set()
    writer.join()
    for table in ("raw_read", "raw_receipt"):  # nobody's: `verify` of a later backup would tell of them
        store.execute(f"ALTER TABLE {table} DELETE WHERE tenant_id = 99 SETTINGS mutations_sync = 2")
    assert len(stored) > before_count
    done = run(tmp_path, "restore", str(file), str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr + told_by_the_store(tmp_path / "new")
    process = spawn(tmp_path / "new")
    restored = client(tmp_path / "new", process)
    reads = restored.raw_reads(99, [9_000 + number for number in stored], *ALWAYS)
    process.terminate()
    process.wait(60)
    counts = {
        int(channel_id): int((reads.channel_id == channel_id).sum()) for channel_id in set(reads.channel_id)
    }
    assert set(counts.values()) <= {100}
    assert sorted(counts) == [9_000 + number for number in stored[: len(counts)]]


def test_what_waited_in_a_spool_for_days_is_derived_after_a_restore_too(home: Path, tmp_path: Path) -> None:
    """It reaches the store between the copy of the relational side and that of the readings.

    The faults it has to see: only what was received in the hour before the backup is looked at again; what
    the store had as the backup began, and nobody had marked yet, is neither in the spool's copy; receipts
    are restored whose reads are not.
    """
    store = store_at(home)
    day_s = int(time.time()) - 3 * 86_400
    late, half = (
        replace(batch([(9_001, day_s, 1)], tenant_id=98, batch_id=batch_id), received_at_s=day_s)
        for batch_id in (98, 97)
    )
    spool = Spool(home / "spool" / "north")
    spool.append([b"half delivered"])

    def deliver(step: str, _done: int, _of: int) -> None:
        if step == "operations.step-database":
            store.insert_raw([half])
            store.execute("ALTER TABLE raw_read DELETE WHERE batch_id = 97 SETTINGS mutations_sync = 2")
            store.insert_raw([replace(late, value=late.value + 1)])
            spool.delete(spool.peek(1))
            spool.close()

    made = backup_verb.back_up(
        store=store,
        data_folder=home,
        database={"ENGINE": "django.db.backends.sqlite3", "NAME": home / "registry.sqlite3"},
        target=tmp_path / "backups",
        secret=Secret(Kind.PASSPHRASE, PASSPHRASE.encode()),
        now=datetime.now(UTC),
        on_progress=deliver,
    )
    (row,) = store.select(
        "SELECT toInt64(uniqExact(tenant_id, channel_id)) AS channels FROM raw_read"
        f" WHERE (tenant_id, batch_id) IN (SELECT tenant_id, batch_id FROM raw_receipt"
        f" WHERE received_at >= {day_s // 3600 * 3600})"
        " FORMAT ArrowStream"
    ).to_pylist()
    for table in ("raw_read", "raw_receipt"):
        store.execute(f"ALTER TABLE {table} DELETE WHERE tenant_id = 98 SETTINGS mutations_sync = 2")
    done = run(tmp_path, "restore", str(made.path), str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr + told_by_the_store(tmp_path / "new")
    assert json.loads(done.stdout)["channels_to_derive"] == row["channels"] > 0
    with closing(Spool(tmp_path / "new" / "spool" / "north")) as restored:
        assert [each.content for each in restored.peek(1)] == [b"half delivered"]
    process = spawn(tmp_path / "new")
    told = client(tmp_path / "new", process).select(
        "SELECT DISTINCT batch_id FROM raw_receipt WHERE tenant_id = 98 FORMAT ArrowStream"
    )
    process.terminate()
    process.wait(60)
    assert told["batch_id"].to_pylist() == [98]


def test_a_drill_proves_a_backup_and_says_when(home: Path, tmp_path: Path) -> None:
    file = back_up(home, tmp_path)
    drilled = run(home, "restore", str(file), "--drill")
    assert drilled.returncode == 0, drilled.stderr
    assert json.loads(drilled.stdout)["is_proved"]
    assert not list((home / "scratch").iterdir())
    known = json.loads((home / "proofs" / "backups.json").read_text())
    for name in ("backed_up_at", "restored_at"):
        assert datetime.now(UTC) - datetime.fromisoformat(known[name]) < timedelta(minutes=10)
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    failed = run(home, "restore", str(file), "--drill")
    assert failed.returncode == 1
    assert "operations.drill-failed" in failed.stderr
    shutil.rmtree(tmp_path)


STOPPING = """
import os, signal
from wattkeeper.actions.operations import backup, restore
from wattkeeper.interfaces.cli import backups

def stop(*_, **__):
    os.kill(os.getpid(), signal.SIGSTOP)

backup._add_readings = restore.load_readings = stop
"""


def start_and_stop(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a verb in a process group of its own and wait until it has stopped, before the readings."""
    verb = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{STOPPING}backups._MAIN = {STOPPING + main_of()!r}\n{main_of()}",
            *arguments,
        ],
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline_s = time.monotonic() + 120
    while "T" not in states_of(verb.pid):
        assert verb.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    return verb


def states_of(group_id: int) -> set[str]:
    """The states of the processes of a group."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _parent, group, *_ = path.read_text().rpartition(")")[2].split()
            if int(group) == group_id:
                found.add(state)
    return found


def test_what_a_killed_drill_left_goes_with_the_next_and_not_before_its_processes_are_dead(
    home: Path, backup: Path
) -> None:
    drill = start_and_stop(home, "restore", str(backup), "--drill")
    (left,) = (home / "scratch").glob("drill-*")
    take_away_scratch(home)
    assert left.exists(), "it is at work"
    drill.kill()
    drill.wait(20)
    take_away_scratch(home)
    assert left.exists(), "the process that restores is at work"
    os.killpg(drill.pid, signal.SIGKILL)
    wait_for_death(drill.pid)
    assert left.exists()
    assert run(home, "restore", str(backup), "--drill").returncode == 0
    assert not list((home / "scratch").iterdir())


def wait_for_death(group_id: int) -> None:
    deadline_s = time.monotonic() + 120
    while states_of(group_id) - {"Z", "X"}:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_killed_restore_is_done_anew_and_takes_away_nothing_else(
    home: Path, backup: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    restore = start_and_stop(tmp_path, "restore", str(backup), str(new))
    assert (new / "readings").exists()
    assert "operations.restore-running" in run(tmp_path, "restore", str(backup), str(new)).stderr
    os.killpg(restore.pid, signal.SIGKILL)
    restore.wait(20)
    assert (new / "incoming").exists()
    assert "operations.restore-unfinished" in run(new, "serve", "--port", "49151").stderr
    (new / "master.key").write_bytes(b"put there by somebody")
    names = sorted(path.name for path in new.iterdir())
    assert "operations.folder-not-empty" in run(tmp_path, "restore", str(backup), str(new)).stderr
    assert sorted(path.name for path in new.iterdir()) == names
    (new / "master.key").unlink()
    again = run(tmp_path, "restore", str(backup), str(new))
    assert again.returncode == 0, again.stderr
    assert json.loads(run(new, "verify", "--json").stdout)["is_proved"]


def test_what_a_killed_backup_left_goes_with_the_next(home: Path, tmp_path: Path) -> None:
    killed = start_and_stop(home, "backup", str(tmp_path))
    assert list(tmp_path.glob("*.part"))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(20)
    shadow = home / "readings" / "engine" / "shadow"
    (shadow / "wattkeeper_dead").mkdir(parents=True)
    file = back_up(home, tmp_path)
    assert list(tmp_path.iterdir()) == [file]
    assert not list(shadow.glob("wattkeeper_*"))
    assert not list((home / "scratch").iterdir())


def test_a_person_at_a_terminal_sees_how_far_it_is(home: Path, tmp_path: Path) -> None:
    told, shown = at_terminal(home, "verify", "--json")
    assert json.loads(told)["is_proved"]
    assert "Every value follows from the reads" in shown
    assert re.search(r"\b[1-9]\d*/[1-9]\d*\b", shown), shown
    told, shown = at_terminal(home, "backup", str(tmp_path))
    assert Path(json.loads(told)["path"]).exists()
    assert "Copying the readings" in shown
    quiet = run(home, "verify", "--json")
    assert quiet.stderr == ""
    assert json.loads(quiet.stdout)["is_proved"]


def test_a_drill_shows_how_far_it_is_in_the_language_asked_for(home: Path, backup: Path) -> None:
    told, shown = at_terminal(home, "--lang", "zh-hans", "restore", str(backup), "--drill")
    assert json.loads(told)["is_proved"]
    assert "正在复制读数" in shown
    assert "每个数值均可由读数重新得出" in shown


def at_terminal(folder: Path, *arguments: str) -> tuple[str, str]:
    """Run a verb whose standard error is a terminal; return standard output and what the terminal got."""
    own, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", main_of(), *arguments],
        env=environment(folder, TERM="xterm", COLUMNS="160"),
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    )
    os.close(terminal)
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while part := os.read(own, 1 << 16):
                shown.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    told, _ = process.communicate(timeout=180)
    reader.join()
    os.close(own)
    return told, shown.decode()


LET_GO = """
from datetime import UTC, datetime
from wattkeeper.bootstrap import setup_django, data_folder, open_store
setup_django()
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.operations.keep_retention import keep_retention
from wattkeeper.actions.operations.set_retention import set_retention
from wattkeeper.actions.services import Services
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.billing.models import Bill, Contract
far = datetime(2027, 2, 1, tzinfo=UTC)
Contract.objects.update(ends_at=Bill.objects.get().ends_at)
actor = Actor(Bill.objects.get().tenant_id, None, "a", Role.ADMINISTRATOR, "cli")
for kind, files in (("FRAMES", 2), ("READS", 4)):
    before = far.replace(year=2026)
    set_retention(actor=actor, now=before, kind=kind, store_months_count=1, file_months_count=files)
while keep_retention(services=Services(lambda: far, data_folder(), open_store()), now=far):
    pass
"""


def test_what_was_archived_and_destroyed_is_so_after_a_restore(home: Path, tmp_path: Path) -> None:
    """The last of the file: the home is another one afterwards."""
    subprocess.run([sys.executable, "-c", LET_GO], env=environment(home), check=True, timeout=180)
    listed = json.loads(run(home, "archive", "list", "--json").stdout)
    assert {row["state"] for row in listed} == {"archive", "destroyed"}
    before = state(home)
    file = back_up(home, tmp_path / "backups")
    restored = run(tmp_path, "restore", str(file), str(tmp_path / "new"))
    assert json.loads(restored.stdout)["state"] == before
    verified = run(tmp_path / "new", "verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    told = [row["code"] for check in json.loads(verified.stdout)["checks"] for row in check["unproved"]]
    assert "verify.destroyed" in told
    assert json.loads(run(tmp_path / "new", "archive", "list", "--json").stdout) == listed
