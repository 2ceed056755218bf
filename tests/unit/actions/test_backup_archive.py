"""What goes into a backup is each file's own content."""

import io
import os
import tarfile
from pathlib import Path

from wattkeeper.actions.operations.backup import open_archive


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in tar.getmembers()}


def test_a_file_with_the_number_of_one_that_is_gone_is_not_taken_for_it(tmp_path: Path) -> None:
    """A file system gives a file's number to the next; two names of one file, written between, are alike."""
    dump, part, made = tmp_path / "dump", tmp_path / "part", io.BytesIO()
    dump.write_bytes(b"a database")
    os.link(dump, part)
    with open_archive(made) as tar:
        tar.add(dump, "dump")
        part.write_bytes(b"columns of a part")
        tar.add(part, "part")
    assert contents(made.getvalue()) == {"dump": b"a database", "part": b"columns of a part"}
