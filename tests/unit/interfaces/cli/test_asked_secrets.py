"""A password or passphrase is typed unseen at a terminal; a program gives it on standard input, unwarned."""

import os
import pty
import select
import subprocess
import sys

import pytest

CODE = "from wattkeeper.interfaces.cli.shell import ask_secret; print(len(ask_secret('name: ')), 'letters')"
COMMAND = [sys.executable, "-c", CODE]
SECRET = "a passphrase "


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_program_gives_it_as_a_line(end: bytes) -> None:
    given = SECRET.encode() + end
    done = subprocess.run(COMMAND, input=given, capture_output=True, start_new_session=True, check=True)
    assert done.stdout.split() == [str(len(SECRET)).encode(), b"letters"]
    assert not done.stderr


def test_where_nobody_says_anything_it_is_empty() -> None:
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (done.stdout.split()[0], done.stderr) == (b"0", b"")


def test_what_is_typed_is_not_shown() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True):
        os.close(theirs)
        shown = read_until(ours, b"name: ")
        os.write(ours, SECRET.encode() + b"\n")
        shown += read_until(ours, b"letters")
    os.close(ours)
    assert f"{len(SECRET)} letters".encode() in shown
    assert SECRET.encode() not in shown


def read_until(terminal: int, words: bytes) -> bytes:
    """Return what a terminal shows until some words are among it, or nothing comes for a minute."""
    shown = b""
    while words not in shown and select.select([terminal], [], [], 60)[0]:
        shown += os.read(terminal, 999)
    return shown
