"""Batches that the store refuses for good, or whose bytes are damaged: kept with the reason, to be replayed.

One file a letter beside the spool: a line of JSON (why, how many bytes, their CRC32C), then the bytes. It is
on disk before the spool forgets the batch. A letter asked for again gets another name; the head-end puts it
back into the spool and only then takes the file away: a crash in between costs a duplicate and no reading.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastcrc import crc32

from wattkeeper.headend.errors import SpoolFailed
from wattkeeper.headend.segment import fsync_folder

WAITING_SUFFIX = ".letter"
AGAIN_SUFFIX = ".again"
_HEAD_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One batch set aside. `set_aside_at_s`: when, by the file system; `is_again`: it is to be replayed."""

    name: str
    reason: str
    content_bytes: int
    set_aside_at_s: float
    is_again: bool


class DeadLetters:
    """The letters of one spool folder. Several processes may look; the head-end writes and replays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes, reason: str) -> None:
        """
        Keep the bytes durably under a name of its own.

        :raises SpoolFailed: if they may not be on disk: the batch must stay where it is
        """
        head = {"reason": reason, "content_bytes": len(content), "crc32c": crc32.iscsi(content)}
        path = self._folder / f"{name}{WAITING_SUFFIX}"
        fresh = path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            fsync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise SpoolFailed(
                "headend.spool-failed", is_permanent=False, path=str(path), reason=str(error)
            ) from error

    def letters(self) -> list[DeadLetter]:
        """Return the letters, oldest first; one that cannot be read is left out."""
        letters = []
        for suffix in (WAITING_SUFFIX, AGAIN_SUFFIX):
            for path in self._folder.glob(f"*{suffix}"):
                with suppress(OSError, ValueError):
                    letters.append(_letter(path))
        return sorted(letters, key=lambda letter: (letter.set_aside_at_s, letter.name))

    def content(self, name: str) -> bytes:
        """
        Return the bytes of a letter.

        :raises SpoolFailed: ``headend.dead-letter-damaged`` if they are not what was set aside,
            ``headend.dead-letter-unknown`` if there is none of this name
        """
        path = self._find(name)
        head, _, content = path.read_bytes().partition(b"\n")
        told = json.loads(head)
        if told["content_bytes"] != len(content) or told["crc32c"] != crc32.iscsi(content):
            raise SpoolFailed("headend.dead-letter-damaged", name=name)
        return content

    def ask_again(self, names: Sequence[str] = ()) -> int:
        """
        Mark letters (all of them where none is named) to be replayed and return how many.

        :raises SpoolFailed: ``headend.dead-letter-unknown``
        """
        waiting = [letter.name for letter in self.letters() if not letter.is_again]
        for name in names:
            self._find(name)
        chosen = [name for name in waiting if not names or name in names]
        for name in chosen:
            path = self._folder / f"{name}{WAITING_SUFFIX}"
            path.rename(path.with_suffix(AGAIN_SUFFIX))
        return len(chosen)

    def asked_again(self) -> list[str]:
        """Return the names of the letters to be replayed."""
        return sorted(path.stem for path in self._folder.glob(f"*{AGAIN_SUFFIX}"))

    def refuse(self, name: str) -> None:
        """Keep a letter waiting that cannot be replayed."""
        path = self._folder / f"{name}{AGAIN_SUFFIX}"
        with suppress(OSError):
            path.rename(path.with_suffix(WAITING_SUFFIX))

    def forget(self, name: str) -> None:
        """Take away a letter that is back in the spool."""
        with suppress(OSError):
            (self._folder / f"{name}{AGAIN_SUFFIX}").unlink(missing_ok=True)

    def _find(self, name: str) -> Path:
        for suffix in (WAITING_SUFFIX, AGAIN_SUFFIX):
            path = self._folder / f"{name}{suffix}"
            if path.parent == self._folder and path.is_file():
                return path
        raise SpoolFailed("headend.dead-letter-unknown", name=name)


def _letter(path: Path) -> DeadLetter:
    with path.open("rb") as file:
        told = json.loads(file.readline(_HEAD_MAX_BYTES))
    return DeadLetter(
        name=path.stem,
        reason=str(told["reason"]),
        content_bytes=int(told["content_bytes"]),
        set_aside_at_s=path.stat().st_mtime,
        is_again=path.suffix == AGAIN_SUFFIX,
    )
