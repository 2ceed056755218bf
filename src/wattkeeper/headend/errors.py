"""What can go wrong between a meter and the store, each with its own name."""

from wattkeeper.core.kernel.errors import WattkeeperError


class LinkDown(WattkeeperError):
    """Raised when a line cannot be reached or was lost; the device is not to blame."""


class NoAnswer(WattkeeperError):
    """Raised when a device did not answer a request, however often it was sent."""


class SpoolFull(WattkeeperError):
    """Raised when the spool has reached its size: nothing may be acknowledged until it has been drained."""


class SpoolFailed(WattkeeperError):
    """Raised when the spool could not make a batch durable: it must not be acknowledged."""


class SpoolBusy(WattkeeperError):
    """Raised when another process holds the spool."""
