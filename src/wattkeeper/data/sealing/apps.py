"""The sealing part of the relational side."""

from django.apps import AppConfig


class SealingConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.sealing"
    label = "sealing"
