"""The app of rule sets and edits."""

from django.apps import AppConfig


class VeeConfig(AppConfig):
    """Rule sets, groups of series, edits."""

    name = "wattkeeper.data.vee"
    label = "vee"
    default_auto_field = "django.db.models.BigAutoField"
