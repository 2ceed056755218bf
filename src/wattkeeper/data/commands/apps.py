"""The commands part of the relational side."""

from django.apps import AppConfig


class CommandsConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.commands"
    label = "commands"
