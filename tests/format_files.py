"""Blocks of every kind, and the shared files, for the tests of formats."""

import json
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from shared import SHARED


def shared_files(folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the shared files of a folder, archives opened; none where they are absent."""
    for path in sorted((SHARED / "vectors" / folder).rglob("*")):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{path.name}!{member}", archive.read(member)
        elif path.is_file() and path.suffix.lower() in (".csv", ".txt", ".xml"):
            yield str(path.relative_to(SHARED / "vectors")), path.read_bytes()


def expected(name: str) -> dict[str, object]:
    """Return what the shared file of expectations says, nothing where it is absent."""
    path: Path = SHARED / "vectors" / name
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def archive_of(**members: bytes) -> bytes:
    """Return a zip file."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
