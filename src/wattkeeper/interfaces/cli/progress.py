"""How far a long command is: one line on standard error while a person watches it, nothing anywhere else."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wattkeeper.interfaces.cli.language import current_language
from wattkeeper.interfaces.messages import sentence


class ProgressLine:
    """Called with a code that says what is being done, how many are done and of how many (0: unknown)."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._code = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def __call__(self, code: str, done_count: int = 0, total_count: int = 0) -> None:
        """Show the line, or what is new in it."""
        if not sys.stderr.isatty():
            return
        text = sentence(code, {}, current_language())
        told = f"{text}  {done_count}/{total_count}" if total_count else text
        total = total_count or None
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            console = Console(stderr=True)
            self._bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
            self._bar.add_task(told, total=total, completed=done_count)
            self._bar.start()
        is_seen_at_once = code != self._code or done_count == total  # else with the next turn of the line
        self._code = code
        (task_id,) = self._bar.task_ids
        self._bar.update(
            task_id, description=told, total=total, completed=done_count, refresh=is_seen_at_once
        )

    def clear(self) -> None:
        """Take the line away: others may write where it stood."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
