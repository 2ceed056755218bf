"""Addresses: pages at the root, the API beside them, health and metrics for machines."""

from django.urls import include, path

urlpatterns = [
    path("", include("wattkeeper.interfaces.web.console.urls")),
]
