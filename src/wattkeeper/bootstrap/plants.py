"""Faults planted on purpose in this installation: they come by the environment and are loud in the log."""

import os

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError

PLANTS = ("drop-backfill", "ignore-rollover", "trust-ack")
log = structlog.get_logger()


def read_plant() -> str:
    """Return the fault that is planted here, empty for none.

    :raises WattkeeperError: ``settings.plant``
    """
    plant = os.environ.get("WATTKEEPER_PLANT", "")
    if plant and plant not in PLANTS:
        raise WattkeeperError("settings.plant", plant=plant, known=", ".join(PLANTS))
    if plant:
        log.warning("plant.active", plant=plant)
    return plant
