"""Users with a role in a tenant, API keys, tries to log in, requests that must happen once."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.registry.models import Tenant
from wattkeeper.data.sealing.fields import SealedRow, SealedTextField


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

    class Meta(AbstractUser.Meta):
        constraints = [  # columns of the framework that would not be sealed
            models.CheckConstraint(
                condition=models.Q(first_name="", last_name="", email=""), name="user_without_plain_contacts"
            )
        ]


class ApiKey(models.Model):
    """A program's key: shown once, kept as a hash."""

    user = models.ForeignKey(User, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80)
    key_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)


class LoginAttempt(models.Model):
    """One failed try to log in, by account and by address: what the rate limits count."""

    subject = models.CharField(max_length=200)  # "account:<name>" or "address:<ip>"
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["subject", "at"], name="login_attempt_subject")]


class IdempotencyKey(SealedRow):
    """A request of a program that must happen once: the same key and body gets the same answer."""

    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    route = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    status_code = models.PositiveSmallIntegerField(null=True)  # null: still being answered
    response = SealedTextField(blank=True, db_column="response_sealed", plain="plain_response")
    plain_response = models.TextField(blank=True, default="", db_column="response")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]

    def sealed_tenant_id(self) -> int:
        """Return the person's tenant."""
        return self.user.tenant_id or 0
