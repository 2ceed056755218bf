"""Rule sets that never change, groups of series, which set judges a group from which day, edits, withdrawals.

What was assigned is never overwritten: a row is withdrawn and another recorded, so that the rules of any
moment can be told later.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from wattkeeper.core.vee.edits import APPROVAL_MILLIWH
from wattkeeper.data.accounts.models import User
from wattkeeper.data.collection.models import FieldRead
from wattkeeper.data.registry.models import Series, Tenant

EVERYONE = "*"


class VeeSettings(models.Model):
    """A tenant's own limits. From `edit_approval_milliwh` of changed energy on, an edit needs two people."""

    tenant = models.OneToOneField(Tenant, models.PROTECT, related_name="vee_settings")
    edit_approval_milliwh = models.BigIntegerField(default=APPROVAL_MILLIWH)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(edit_approval_milliwh__gte=0), name="vee_approval")]


class StoredRuleSet(models.Model):
    """A rule set as `core.vee.rule_set_json` writes it; never edited, only followed by another."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    code = models.CharField(_("code"), max_length=40)
    document = models.JSONField()
    recorded_at = models.DateTimeField()
    made_by = models.CharField(max_length=160)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="vee_rule_set_code")]

    def __str__(self) -> str:
        return self.code


class SeriesGroup(models.Model):
    """Series that are judged alike; the one called ``*`` is every series."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    code = models.CharField(_("code"), max_length=40)
    name = models.CharField(_("name"), max_length=120, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="vee_group_code")]

    def __str__(self) -> str:
        return self.code


class GroupMember(models.Model):
    """A series of a group, since `recorded_at`; of one group at a time."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    group = models.ForeignKey(SeriesGroup, models.PROTECT, related_name="members")
    series = models.ForeignKey(Series, models.PROTECT, related_name="groups")
    recorded_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["series"], condition=Q(withdrawn_at__isnull=True), name="vee_member_once"
            )
        ]


class Assignment(models.Model):
    """From the local day `starts_date` on, until the group's next one, a group is judged by a rule set.

    `rule_set` null: by none of its own, so by that of every series.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    group = models.ForeignKey(SeriesGroup, models.PROTECT, related_name="assignments")
    rule_set = models.ForeignKey(StoredRuleSet, models.PROTECT, null=True, related_name="assignments")
    starts_date = models.DateField()
    recorded_at = models.DateTimeField()
    made_by = models.CharField(max_length=160)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "starts_date"],
                condition=Q(withdrawn_at__isnull=True),
                name="vee_assignment_once",
            )
        ]


class StoredEdit(models.Model):
    """A person's edit of consecutive intervals of a series: an input of every derivation while IN_FORCE."""

    class State(models.TextChoices):
        """Where in its life the edit is."""

        PENDING = "PENDING", _("Waits for a second person")
        IN_FORCE = "IN_FORCE", _("In force")
        REJECTED = "REJECTED", _("Rejected")
        WITHDRAWN = "WITHDRAWN", _("Withdrawn")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    series = models.ForeignKey(Series, models.PROTECT, related_name="edits")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    energy_milliwh = models.JSONField()  # whole numbers, one an interval
    rejected_milliwh = models.JSONField()  # what had been measured of each; null: nothing
    changed_milliwh = models.BigIntegerField()
    reason_code = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=240, blank=True)
    state = models.CharField(max_length=12, choices=State.choices)
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()
    approver = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=240, blank=True)
    withdrawn_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="vee_edit_period"),
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(approver=F("author")), name="vee_edit_two_people"
            ),
        ]
        indexes = [models.Index(fields=["series", "state"], name="vee_edit_series")]


class ReadWithdrawal(models.Model):
    """A person's word that a noted read counts no more, and why; it does not while this is IN_FORCE.

    `changed_milliwh`: the most energy that the read can have moved. Noted again, the read counts again. One
    that is PENDING is WITHDRAWN itself when its read is corrected.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    field_read = models.ForeignKey(FieldRead, models.PROTECT, related_name="withdrawals")
    changed_milliwh = models.BigIntegerField()
    reason = models.CharField(max_length=240)
    state = models.CharField(max_length=12, choices=StoredEdit.State.choices)
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()
    approver = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_note = models.CharField(max_length=240, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(approver=F("author")),
                name="vee_withdrawal_two_people",
            )
        ]
