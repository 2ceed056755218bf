"""The collection part of the relational side."""

from django.apps import AppConfig


class CollectionConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.collection"
    label = "collection"
