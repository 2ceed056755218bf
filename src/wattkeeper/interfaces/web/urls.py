"""Addresses: pages at the root, the API beside them, health and metrics for machines."""

from django.urls import include, path

from wattkeeper.interfaces.web.api.app import api
from wattkeeper.interfaces.web.health import healthz, metrics

urlpatterns = [
    path("api/v1/", api.urls),
    path("healthz", healthz),
    path("metrics", metrics),
    path("", include("wattkeeper.interfaces.web.console.urls")),
]
handler400 = "wattkeeper.interfaces.web.middleware.refused"
