"""The accounts part of the relational side."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.accounts"
    label = "accounts"
