"""The registry part of the relational side."""

from django.apps import AppConfig

from wattkeeper.data import case_blind


class RegistryConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.registry"
    label = "registry"

    def ready(self) -> None:
        """Make searches the same on every engine."""
        case_blind.register()
