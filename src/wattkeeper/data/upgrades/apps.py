"""The upgrades part of the relational side."""

from django.apps import AppConfig


class UpgradesConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.upgrades"
    label = "upgrades"
