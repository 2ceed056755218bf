"""Where an installation keeps what no database holds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Folders and files of one data folder."""

    spool: Path
    archive: Path
    heads: Path

    @classmethod
    def of(cls, data_folder: Path) -> "Places":
        """Return the places in a data folder."""
        return cls(
            data_folder / "spool", data_folder / "archive", data_folder / "proofs" / "audit-heads.jsonl"
        )
