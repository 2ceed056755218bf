"""The billing part of the relational side."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.billing"
    label = "billing"
