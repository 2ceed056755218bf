"""Threads for calls of the registry: a connection that has died fails one call, not all that follow."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


class FreshThreads(ThreadPoolExecutor):
    """Lets go of a thread's connection after a failure where it can't be used any more."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` in a thread."""

        def call() -> T:
            try:
                return fn(*args, **kwargs)
            except Exception:
                close_old_connections()
                raise

        return super().submit(call)
