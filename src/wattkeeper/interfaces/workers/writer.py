"""The writer child: stores what head-ends send over the carrier."""

from wattkeeper.bootstrap.ready import set_up_role


def run() -> int:
    """Write until told to stop."""
    set_up_role()
    from wattkeeper.bootstrap.writer_role import run_writer_role

    run_writer_role()
    return 0
