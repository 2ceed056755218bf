"""The store child: the only one that loads the embedded engine."""

from wattkeeper.bootstrap.engines import data_folder
from wattkeeper.store.process import run_store


def run_store_role() -> None:
    """Serve the embedded engine."""
    folder = data_folder()
    run_store(folder / "readings", folder / "run" / "store.json")
