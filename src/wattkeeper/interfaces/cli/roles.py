"""`wattkeeper headend`, `writer`, `worker`: one process of an installation that runs on several machines."""

from typing import Annotated

import typer

from wattkeeper.bootstrap.logs import set_up_logs
from wattkeeper.bootstrap.ready import set_up_role


def headend(
    name: Annotated[str, typer.Option(help="reads the links that are given to this name")] = "main",
) -> None:
    """Read devices, keep them in a spool of its own, hand them over; until stopped."""
    _begin("headend")
    from wattkeeper.bootstrap.headend_role import run_headend_role

    run_headend_role(name)


def writer() -> None:
    """Store what head-ends send over the carrier (WATTKEEPER_CARRIER); until stopped."""
    _begin("writer")
    from wattkeeper.bootstrap.writer_role import run_writer_role

    run_writer_role()


def worker() -> None:
    """Derive, judge and bill what is stored, and carry jobs out; until stopped."""
    _begin("worker")
    from wattkeeper.bootstrap.worker_role import run_worker_role

    run_worker_role()


def _begin(role: str) -> None:
    set_up_logs(role)
    set_up_role()
