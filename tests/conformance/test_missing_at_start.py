"""What is gone at a start is told in a sentence by the real programs, and nothing is made in its place."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.test_operations import SHELL, environment, shell
from ports import free_port

pytestmark = pytest.mark.slow
RIGHTS_COUNT = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
PREPARE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from wattkeeper.bootstrap.prepare import prepare
prepare(Path(sys.argv[1]), now=datetime.now(UTC))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation as its first start leaves it."""
    folder = tmp_path_factory.mktemp("made") / "home"
    subprocess.run(
        [sys.executable, "-c", PREPARE, str(folder)], env=environment(folder), check=True, timeout=120
    )
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def names_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} - {"run", "run/serve.lock", "log"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("secret.key", "installation.key-missing"),
        ("audit.key", "installation.key-missing"),
        ("master.key", "installation.key-missing"),
        ("registry.sqlite3", "installation.database-missing"),
        ("installation.json", "installation.note-missing"),
    ],
)
def test_what_is_gone_is_told_and_not_made_anew(home: Path, name: str, code: str) -> None:
    assert (home / name).exists(), "made by the first start"
    (home / name).unlink()
    before = names_in(home)
    done = shell(home, "serve", "--port", str(free_port()))
    assert done.returncode == 1
    assert code in done.stderr
    assert "Traceback" not in done.stderr
    assert names_in(home) <= before, "something was made in its place"


def test_others_of_the_machine_read_no_registry(home: Path) -> None:
    """Not in an installation of a release before either, whose file they could read."""
    registry = home / "registry.sqlite3"
    assert registry.stat().st_mode & 0o007 == 0
    registry.chmod(0o644)
    done = shell(home, "migrate")
    assert done.returncode == 0
    assert registry.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("WATTKEEPER_DEBUG", "yes", "settings.not-a-bool"),
        ("WATTKEEPER_CLOCK", "sundial", "settings.clock"),
        ("WATTKEEPER_DATABASE", "postgresql://me:geheim@127.0.0.1:1/other", "installation.database-other"),
    ],
)
def test_a_setting_that_is_wrong_is_told(home: Path, name: str, value: str, code: str) -> None:
    done = shell(home, "site", "list", **{name: value})
    assert done.returncode == 1
    assert code in done.stderr
    assert "geheim" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_damaged_is_told_and_kept(home: Path) -> None:
    (home / "registry.sqlite3").write_bytes(b"no database " * 100)
    done = shell(home, "serve", "--port", str(free_port()))
    assert (done.returncode, "shell.database-damaged" in done.stderr) == (1, True)
    assert (home / "registry.sqlite3").read_bytes().startswith(b"no database")


def test_a_database_that_may_not_be_written_is_told(home: Path) -> None:
    (home / "registry.sqlite3").chmod(0o444)
    done = subprocess.run(
        [*RIGHTS_COUNT, sys.executable, "-c", SHELL, "serve", "--port", str(free_port())],
        env=environment(home), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "[files.denied]" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("host", "code"), [("192.0.2.7", "serve.address-unknown"), ("127.0.0.1", "busy")])
def test_a_port_that_cannot_be_had_is_told(home: Path, host: str, code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shell(home, "serve", "--host", host, "--port", str(taken.getsockname()[1]), "--insecure")
    assert done.returncode == 1
    assert code in done.stderr


def test_readings_that_are_gone_after_the_first_start_are_told(home: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SHELL, "serve", "--port", str(port)],
        env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
    finally:
        process.terminate()
        process.wait(60)
    (home / "readings").rename(home.parent / "elsewhere")
    for verb in (("serve", "--port", str(free_port())), ("verify",)):
        done = shell(home, *verb)
        assert (done.returncode, "[installation.readings-missing]" in done.stderr) == (1, True)
        assert not (home / "readings").exists()


def test_who_means_it_can_go_on(home: Path) -> None:
    (home / "secret.key").unlink()
    assert shell(home, "adopt", "--yes").returncode == 0
    assert shell(home, "site", "list").returncode == 0


def test_a_folder_that_was_only_migrated_can_be_begun(tmp_path: Path) -> None:
    assert shell(tmp_path, "migrate").returncode == 0
    subprocess.run([sys.executable, "-c", PREPARE, str(tmp_path)], env=environment(tmp_path), check=True)
    assert (tmp_path / "installation.json").exists()
