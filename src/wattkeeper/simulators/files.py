"""Files that others wait for: whole or not there."""

from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` so that no reader ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
