"""The virtual part of the relational side."""

from django.apps import AppConfig


class VirtualConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.virtual"
    label = "virtual"
