"""Tariffs by version, contracts by date, bills with lines that trace to their intervals."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.registry.models import DatedFact, Tenant, UsagePoint


class Tariff(models.Model):
    """A named tariff; its rules are in its versions."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    code = models.CharField(_("code"), max_length=40)
    name = models.CharField(_("name"), max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="tariff_code")]

    def __str__(self) -> str:
        return self.name


class TariffVersion(models.Model):
    """The tariff's document (`core.tariffs.parse_tariff`) from a date on; never edited, only followed."""

    tariff = models.ForeignKey(Tariff, models.PROTECT, related_name="versions")
    valid_from_date = models.DateField()
    document = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tariff", "valid_from_date"], name="tariff_version")]


class Contract(DatedFact):
    """Which tariff a customer of a usage point is billed by."""

    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, related_name="contracts")
    tariff = models.ForeignKey(Tariff, models.PROTECT)
    is_same_customer = models.BooleanField(null=True)  # as of the one before; null: never asked

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name="contract_period"
            )
        ]


class Bill(models.Model):
    """One bill: never changed once issued; corrected by another that names it."""

    class State(models.TextChoices):
        """Where in its life the bill is."""

        ISSUED = "ISSUED", _("Issued")
        REVERSED = "REVERSED", _("Reversed")
        REVERSAL = "REVERSAL", _("Reversal")  # takes back another, line by line

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, related_name="bills")
    tariff_version = models.ForeignKey(TariffVersion, models.PROTECT)
    document_key = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State.choices, default=State.ISSUED)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField()
    energy_milliwh = models.BigIntegerField()
    run_id = models.BigIntegerField()  # the newest run whose values it rests on
    document = models.JSONField()
    issued_at = models.DateTimeField()
    corrects = models.ForeignKey("self", models.PROTECT, null=True, related_name="corrected_by")
    reverses = models.ForeignKey("self", models.PROTECT, null=True, related_name="reversed_by")
    depends_from = models.DateTimeField(null=True)  # values from then on count; null: perhaps the whole year

    class Meta:
        indexes = [models.Index(fields=["tenant", "ends_at"], name="bill_tenant_end")]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="bill_period"),
            models.UniqueConstraint(
                fields=["usage_point", "starts_at", "ends_at"],
                condition=Q(state="ISSUED"),
                name="bill_one_issued_a_period",
            ),
            models.UniqueConstraint(fields=["tenant", "document_key"], name="bill_document_key"),
        ]


class BillLine(models.Model):
    """One line of a bill; `trace` leads to the intervals, and from them to reads and frames."""

    bill = models.ForeignKey(Bill, models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    component = models.CharField(max_length=40)
    label_code = models.CharField(max_length=60)
    rate = models.CharField(max_length=40, blank=True)
    tier = models.PositiveSmallIntegerField(null=True)
    quantity = models.CharField(max_length=40)  # exact decimal text in `unit`
    unit = models.CharField(max_length=12)
    unit_price = models.CharField(max_length=40)
    amount_minor = models.BigIntegerField()
    trace = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bill", "position"], name="bill_line_position")]


class RebillCheck(models.Model):
    """An issued bill whose values may have changed; `marks_count` rises with each run that changed some."""

    bill = models.OneToOneField(Bill, models.PROTECT, related_name="rebill_check")
    marks_count = models.BigIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)  # since when it rests; null: to be looked at


class RebillProposal(models.Model):
    """What an issued bill would be by the values of now; somebody approves or rejects it."""

    class State(models.TextChoices):
        """Where in its life the proposal is."""

        OPEN = "OPEN", _("Open")
        APPROVED = "APPROVED", _("Approved")
        REJECTED = "REJECTED", _("Rejected")
        OBSOLETE = "OBSOLETE", _("Obsolete")  # the values are again those that were billed

    class Reason(models.TextChoices):
        """What the bill would say otherwise."""

        FIGURES = "FIGURES", _("Other figures")
        QUALITY = "QUALITY", _("The same figures; another share of them is estimated")
        PARTS = "PARTS", _("Bills of other days")
        HELD = "HELD", _("It can't be billed any more")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    bill = models.ForeignKey(Bill, models.PROTECT, related_name="rebill_proposals")
    reason = models.CharField(
        max_length=12, choices=Reason.choices, default=Reason.FIGURES, db_default=Reason.FIGURES
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    data_version = models.CharField(max_length=64)
    tier_used_milliwh = models.BigIntegerField(default=0)
    energy_milliwh = models.BigIntegerField()
    total_minor = models.BigIntegerField(null=True)  # null: it can't be billed now, see `held_code`
    accepts_estimates = models.BooleanField(null=True)  # those that no register brackets; null: nobody said
    held_code = models.CharField(max_length=80, blank=True)
    held_params = models.JSONField(null=True)
    document_key = models.CharField(max_length=64, null=True)  # of what would be charged; null: held
    parts = models.JSONField(
        null=True
    )  # of the period by contract (`ProposalRow`); null: it is one as billed
    raised_at = models.DateTimeField()
    looked_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=160, blank=True)
    note = models.CharField(max_length=240, blank=True)
    new_bill = models.ForeignKey(Bill, models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bill"], condition=Q(state="OPEN"), name="rebill_one_open")
        ]
