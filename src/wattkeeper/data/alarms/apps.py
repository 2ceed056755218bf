"""The alarms part of the relational side."""

from django.apps import AppConfig


class AlarmsConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.alarms"
    label = "alarms"
