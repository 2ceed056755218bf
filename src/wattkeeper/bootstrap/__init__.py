"""The only place that picks engines and wires ports.

`setup_django()` first; then `make_clock`, `open_store`, `make_services`, and per process `headend_ports` and
`pipeline_ports` in the modules of those names.
"""

from wattkeeper.bootstrap.engines import data_folder, make_clock, open_store, setup_django

__all__ = ["data_folder", "make_clock", "open_store", "setup_django"]
