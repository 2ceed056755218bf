"""Structured logs: one JSON line an event on standard error, the role on each."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from io import StringIO
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

REASON_MAX_CHARS = 200


def set_up_logs(role: str, *, has_traces: bool = True) -> None:
    """Send this process's log lines to standard error as JSON; without traces where a person reads along.

    Those of libraries too, from warnings on; what was wrong with a request is one line without a trace.
    """
    known: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    told: list[Processor] = [
        structlog.processors.format_exc_info if has_traces else _without_trace,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*known, *told],
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    of_libraries = logging.StreamHandler(_StandardError())
    of_libraries.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*known, _as_refusal],
            processors=[ProcessorFormatter.remove_processors_meta, *told],
        )
    )
    logging.basicConfig(handlers=[of_libraries], level=logging.WARNING)
    logging.getLogger("django.request").setLevel(logging.ERROR)  # an answer of 4xx is told to who asked


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


def _as_refusal(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tell a request that was refused for its own fault, an unknown host say, by a code."""
    parent, _, kind = event["_record"].name.rpartition(".")
    if parent == "django.security":
        event.pop("exc_info", None)
        event.update(event="requests.refused", kind=kind, reason=event["event"][:REASON_MAX_CHARS])
    return event
