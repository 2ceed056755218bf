"""Commands, their steps, and the switch that stops them all."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.accounts.models import User
from wattkeeper.data.registry.models import Meter, Tenant


class Command(models.Model):
    """One command to one meter; `state` changes only as `core.commands` allows."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="commands")
    kind = models.CharField(_("kind"), max_length=20)
    reason = models.CharField(_("reason"), max_length=240)
    state = models.CharField(_("state"), max_length=20)
    idempotency_key = models.CharField(max_length=80)
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    valid_until = models.DateTimeField()
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    queued_at = models.DateTimeField(null=True)  # in the outbox since
    taken_at = models.DateTimeField(null=True)  # by the head-end
    sent_at = models.DateTimeField(null=True)
    read_back_at = models.DateTimeField(null=True)
    relay_state_code = models.SmallIntegerField(null=True)  # as read back
    refusal_code = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "idempotency_key"], name="command_idempotency_key")
        ]


class CommandStep(models.Model):
    """One change of a command's state: append only."""

    command = models.ForeignKey(Command, models.PROTECT, related_name="steps")
    at = models.DateTimeField()
    from_state = models.CharField(max_length=20)
    to_state = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)


class CutPolicy(models.Model):
    """When a tenant's disconnects may leave, in the site's local time; without one, the careful default."""

    tenant = models.OneToOneField(Tenant, models.PROTECT)
    opens = models.TimeField()
    closes = models.TimeField()
    is_any_day = models.BooleanField(default=False)


class KillSwitch(models.Model):
    """While on, no disconnect leaves."""

    tenant = models.OneToOneField(Tenant, models.PROTECT)
    is_on = models.BooleanField(default=False)
    changed_at = models.DateTimeField()
    changed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
