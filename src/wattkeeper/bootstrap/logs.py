"""Structured logs: one JSON line an event on standard error, the role on each."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from io import StringIO
from typing import Any

import structlog


def set_up_logs(role: str, *, has_traces: bool = True) -> None:
    """Send this process's log lines to standard error as JSON; without traces where a person reads along."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if has_traces else _without_trace,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)


class _StandardError(StringIO):
    """It may lead to a full disk: a line that can't be written there ends nobody's work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _without_trace(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("exc_info", None)
    return event
