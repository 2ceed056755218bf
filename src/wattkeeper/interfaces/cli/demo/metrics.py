"""The head-end's counters, read where the web child finds them too."""

from pathlib import Path

PREFIX = "wattkeeper_headend_"


def read_headend_metrics(folder: Path) -> dict[str, int]:
    """Return the head-end's counters by their short names."""
    found: dict[str, int] = {}
    for line in (folder / "run" / "headend.prom").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name.startswith(PREFIX) and not name.endswith("_created"):
            found[name.removeprefix(PREFIX).removesuffix("_total")] = int(float(value))
    return found
