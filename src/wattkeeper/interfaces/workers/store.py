"""The store child: the only owner of the embedded engine's folder."""


def run() -> int:
    """Serve the embedded engine until told to stop."""
    from wattkeeper.bootstrap.store_role import run_store_role

    run_store_role()
    return 0
