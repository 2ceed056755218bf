"""Findings: what a rule saw, with evidence; and devices' own events."""

from datetime import UTC

from django.db import models
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.accounts.models import User
from wattkeeper.data.registry.models import Meter, Tenant, UsagePoint
from wattkeeper.data.sealing.fields import SealedRow, SealedTextField


class Finding(models.Model):
    """One thing a rule found. The same rule, subject and start is the same finding, however often seen."""

    class State(models.TextChoices):
        """Whether somebody still has to look."""

        OPEN = "OPEN", _("Open")
        CLOSED = "CLOSED", _("Closed")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    rule = models.CharField(_("rule"), max_length=60)
    subject_key = models.CharField(max_length=60)  # "series:12", "meter:3", "link:1"
    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, null=True, related_name="findings")
    meter = models.ForeignKey(Meter, models.PROTECT, null=True, related_name="findings")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    evidence = models.JSONField(default=dict)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "rule", "subject_key", "starts_at"], name="finding_once"
            )
        ]
        indexes = [
            models.Index(fields=["subject_key", "starts_at"], name="finding_subject"),
            models.Index(fields=["tenant", "usage_point", "starts_at"], name="finding_place"),
            models.Index(fields=["state", "starts_at"], name="finding_state"),
        ]


class FindingPast(models.Model):
    """How a finding stood until an instant at which it changed.

    That it was closed alone makes none: `closed_at` tells.
    """

    finding = models.ForeignKey(Finding, models.PROTECT, related_name="past")
    until_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    evidence = models.JSONField(default=dict)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["finding", "until_at"], name="finding_past_until")]


class FindingComment(SealedRow):
    """What a person said about a finding; the closing words among them."""

    finding = models.ForeignKey(Finding, models.PROTECT, related_name="comments")
    author = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField()
    text = SealedTextField(db_column="text_sealed", plain="plain_text")
    plain_text = models.TextField(blank=True, default="", db_column="text")

    def seal_identity(self) -> str:
        """Return what the words are bound to: known before the row has an id, and never changed."""
        return f"{self.finding_id}/{self.author_id}/{self.at.astimezone(UTC):%Y%m%dT%H%M%S.%f}"

    def sealed_tenant_id(self) -> int:
        """Return the finding's tenant."""
        return self.finding.tenant_id


class EndDeviceEvent(models.Model):
    """Something a device or its line reported: link lost, power lost, relay moved."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    meter = models.ForeignKey(Meter, models.PROTECT, null=True, related_name="events")
    code = models.CharField(max_length=60)
    occurred_at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "meter", "code", "occurred_at"], name="event_once")
        ]
