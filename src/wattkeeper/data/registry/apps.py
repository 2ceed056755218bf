"""The registry part of the relational side."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.registry"
    label = "registry"
