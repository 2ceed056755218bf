"""Virtual meters with dated formulas, groups of usage points over time, comparisons of meters.

A virtual meter is a usage point of kind VIRTUAL: pages, bills and exports know its series as any other.
Periods are half-open; the database refuses overlaps (migration ``constraints``).
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.registry.models import DatedFact, Site, Tenant, UsagePoint
from wattkeeper.data.sealing.fields import SealedRow, SealedTextField


def _ends_after_start(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name=name
    )


class Formula(DatedFact):
    """What a virtual usage point is made of for a time. `text` as it was entered, `terms` as it is computed.

    `terms`: a list of ``{"kind": "series" | "subs", "point": id, "quantity", "numerator", "denominator",
    "zero"}``; points are named by id, so that a new code changes nothing.
    """

    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, related_name="formulas")
    text = models.TextField(_("formula"))
    terms = models.JSONField()
    made_by = models.CharField(max_length=160)

    class Meta:
        constraints = [_ends_after_start("formula_period")]


class Node(SealedRow):
    """A group that energies are added up for: an area, a feeder, a customer."""

    class Kind(models.TextChoices):
        """What sort of group."""

        AREA = "AREA", _("Area")
        FEEDER = "FEEDER", _("Feeder")
        CUSTOMER = "CUSTOMER", _("Customer")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    code = models.CharField(_("code"), max_length=40)
    name = SealedTextField(_("name"), max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "kind", "code"], name="node_code")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class AreaInArea(DatedFact):
    """`part` lies in `whole`."""

    whole = models.ForeignKey(Node, models.PROTECT, related_name="areas")
    part = models.ForeignKey(Node, models.PROTECT, related_name="in_areas")

    class Meta:
        constraints = [
            _ends_after_start("area_in_area_period"),
            models.CheckConstraint(condition=~Q(whole=F("part")), name="area_no_loop"),
        ]


class SiteInArea(DatedFact):
    """A site lies in an area."""

    whole = models.ForeignKey(Node, models.PROTECT, related_name="sites")
    part = models.ForeignKey(Site, models.PROTECT, related_name="in_areas")

    class Meta:
        constraints = [_ends_after_start("site_in_area_period")]


class PointOnFeeder(DatedFact):
    """A usage point hangs on a feeder."""

    whole = models.ForeignKey(Node, models.PROTECT, related_name="feeder_points")
    part = models.ForeignKey(UsagePoint, models.PROTECT, related_name="on_feeders")

    class Meta:
        constraints = [_ends_after_start("point_on_feeder_period")]


class PointOfCustomer(DatedFact):
    """A usage point supplies a customer."""

    whole = models.ForeignKey(Node, models.PROTECT, related_name="customer_points")
    part = models.ForeignKey(UsagePoint, models.PROTECT, related_name="of_customers")

    class Meta:
        constraints = [_ends_after_start("point_of_customer_period")]


class AccuracyCheck(models.Model):
    """A standing comparison: the meter at `main` against the one at `reference`, or against its sub-meters.

    `reference` None: the sum of the points that `main` feeds, each for its time. Classes as in
    `core.vee.accuracy`; `base_power_w`: basic or rated power of the main meter, primary.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    main = models.ForeignKey(UsagePoint, models.PROTECT, related_name="accuracy_checks")
    reference = models.ForeignKey(UsagePoint, models.PROTECT, null=True, related_name="+")
    main_class = models.CharField(max_length=16)
    reference_class = models.CharField(max_length=16)
    base_power_w = models.BigIntegerField()
    loss_ppm = models.PositiveIntegerField(default=0)
    window_days = models.PositiveSmallIntegerField(default=30)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(base_power_w__gt=0), name="accuracy_power_positive"),
            models.CheckConstraint(condition=Q(window_days__gt=0), name="accuracy_window_positive"),
            models.CheckConstraint(condition=~Q(main=F("reference")), name="accuracy_not_itself"),
        ]


class AccuracyResult(models.Model):
    """What a comparison said of ``[from_at, to_at)``; `bands`: the same figures by load."""

    comparison = models.ForeignKey(AccuracyCheck, models.PROTECT, related_name="results")
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    judged_at = models.DateTimeField()
    verdict = models.CharField(max_length=12)
    main_milliwh = models.BigIntegerField()
    reference_milliwh = models.BigIntegerField()
    error_ppm = models.BigIntegerField()
    uncertainty_ppm = models.BigIntegerField()
    limit_ppm = models.BigIntegerField()
    confidence_ppm = models.BigIntegerField()
    steps_count = models.BigIntegerField()
    interval_count = models.BigIntegerField()
    bands = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comparison", "to_at"], name="accuracy_result_once"),
            models.CheckConstraint(condition=Q(to_at__gt=F("from_at")), name="accuracy_result_period"),
        ]
