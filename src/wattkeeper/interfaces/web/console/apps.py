"""The operator's pages."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.interfaces.web.console"
    label = "console"
