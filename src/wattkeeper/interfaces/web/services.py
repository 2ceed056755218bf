"""The services of this web process: clock, data folder, readings store."""

from wattkeeper.actions.services import Services
from wattkeeper.bootstrap import data_folder, make_clock, open_store
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.api import ReadingStore

_clock = make_clock()


def get_services() -> Services:
    """Return what actions need; the store is None while none is reachable."""
    store = find_store()
    measured = None if store is None else measured_by(store, _clock.now)
    return Services(now=_clock.now, data_folder=data_folder(), store=store, measured=measured)


def find_store() -> ReadingStore | None:
    """Return the readings store, None while nobody serves it."""
    try:
        return open_store()
    except (WattkeeperError, ValueError, KeyError):
        return None


def require_store(services: Services) -> ReadingStore:
    """Return the readings store.

    :raises WattkeeperError: ``store.not-running`` (is_permanent False)
    """
    if services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False, folder=str(services.data_folder))
    return services.store
