"""Django's `migrate`, which makes the schema of an empty database at once, as an upgrade does."""

from typing import Any

from django.core.management.commands import migrate

from wattkeeper.data.upgrades.steps import make_first

_LESS = ("app_label", "check_unapplied", "fake", "plan", "prune")


class Command(migrate.Command):
    """What is left after the first schema is Django's: nothing to take, its own records to write."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the first schema where all of it is asked for, then do as Django does."""
        if not any(options[name] for name in _LESS):
            make_first()
        super().handle(*args, **options)
