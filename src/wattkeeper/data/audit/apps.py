"""The audit part of the relational side."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Names the app to Django."""

    name = "wattkeeper.data.audit"
    label = "audit"
