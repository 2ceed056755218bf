"""Users with a role in a tenant, and API keys."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.registry.models import Tenant


class Role(models.TextChoices):
    """What a person may do; each includes the ones before it."""

    VIEWER = "VIEWER", _("Viewer")
    OPERATOR = "OPERATOR", _("Operator")
    ADMINISTRATOR = "ADMINISTRATOR", _("Administrator")


class User(AbstractUser):
    """A person of one tenant."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, null=True)
    role = models.CharField(_("role"), max_length=16, choices=Role.choices, default=Role.VIEWER)
    language = models.CharField(_("language"), max_length=10, blank=True)
    created_by = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")


class ApiKey(models.Model):
    """A program's key: shown once, kept as a hash."""

    user = models.ForeignKey(User, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80)
    key_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
