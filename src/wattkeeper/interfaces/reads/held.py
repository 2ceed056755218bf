"""What holds a month that is due, in people's words. No Django: the shell uses it."""

from typing import TYPE_CHECKING

from wattkeeper.interfaces.messages import sentence

if TYPE_CHECKING:
    from wattkeeper.actions.operations.keep_retention import Due

SHOWN_COUNT = 5


def held_text(due: "Due", language: str) -> str:
    """Return why a month stays and at which usage points, empty where it goes."""
    if not due.held_by:
        return ""
    parts = [sentence(due.held_by, {}, language)]
    if due.held_at:
        shown = [*due.held_at[:SHOWN_COUNT], *("…" for _ in due.held_at[SHOWN_COUNT : SHOWN_COUNT + 1])]
        parts.append(sentence("operations.held-at", {"usage_points": ", ".join(shown)}, language))
    if due.held_elsewhere:
        parts.append(sentence("operations.held-elsewhere", {}, language))
    return ("" if language.startswith("zh") else " ").join(parts)
