"""Sites, usage points, meters, and the dated facts that tie them together.

Periods are half-open; the database refuses overlaps (migration ``constraints``). Nothing with a reading is
ever deleted: it is retired.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.sealing.fields import SealedRow, SealedTextField

POWER_MAX_W = 20_000  # of a usage point of which nobody says more


class Tenant(models.Model):
    """An organisation whose data nobody else sees."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Site(SealedRow):
    """A place with usage points: a compound, a factory, a building."""

    class Kind(models.TextChoices):
        """What sort of place."""

        RESIDENTIAL = "RESIDENTIAL", _("Residential compound")
        INDUSTRIAL = "INDUSTRIAL", _("Factory")
        COMMERCIAL = "COMMERCIAL", _("Commercial building")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    code = models.CharField(_("code"), max_length=40)
    name = models.CharField(_("name"), max_length=120)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    time_zone = models.CharField(_("time zone"), max_length=64)
    address = SealedTextField(
        _("address"), max_length=240, blank=True, db_column="address_sealed", plain="plain_address"
    )
    plain_address = models.CharField(max_length=240, blank=True, default="", db_column="address")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="site_code")]

    def __str__(self) -> str:
        return self.name


class UsagePoint(SealedRow):
    """Where energy is delivered and metered; outlives meters."""

    class Kind(models.TextChoices):
        """What the point is for."""

        CUSTOMER = "CUSTOMER", _("Customer")
        MAIN = "MAIN", _("Main meter")
        SUB = "SUB", _("Sub-meter")
        VIRTUAL = "VIRTUAL", _("Virtual meter")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    site = models.ForeignKey(Site, models.PROTECT, related_name="usage_points")
    code = models.CharField(_("code"), max_length=40)
    name = SealedTextField(
        _("name"), max_length=120, db_column="name_sealed", plain="plain_name", is_searched=True
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices, default=Kind.CUSTOMER)
    customer_name = SealedTextField(
        _("customer"),
        max_length=120,
        blank=True,
        db_column="customer_name_sealed",
        plain="plain_customer_name",
        is_searched=True,
    )
    plain_name = models.CharField(max_length=120, blank=True, default="", db_column="name")
    plain_customer_name = models.CharField(max_length=120, blank=True, default="", db_column="customer_name")
    is_protected = models.BooleanField(_("protected supply"), default=False)
    power_max_w = models.BigIntegerField(_("largest power, W"), default=POWER_MAX_W)
    power_told = models.JSONField(
        null=True, blank=True
    )  # of one that files made: what they tell, by quantity
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "code"], name="usage_point_code"),
            models.CheckConstraint(condition=Q(power_max_w__gt=0), name="usage_point_power_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Meter(models.Model):
    """An end device. `family` names its driver; `address` is how the line calls it."""

    class State(models.TextChoices):
        """Where in its life the meter is."""

        STOCK = "STOCK", _("In stock")
        INSTALLED = "INSTALLED", _("Installed")
        RETIRED = "RETIRED", _("Retired")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    site = models.ForeignKey(Site, models.PROTECT, related_name="meters")
    serial_number = models.CharField(_("serial number"), max_length=64)
    make_model = models.CharField(_("make and model"), max_length=80, blank=True)
    family = models.CharField(_("driver"), max_length=40, blank=True)
    link = models.ForeignKey(
        "collection.Link",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="meters",
        verbose_name=_("link"),
    )
    address = models.CharField(_("address on the link"), max_length=64, blank=True)
    interval_s = models.PositiveIntegerField(_("interval, s"), default=900)
    memory_days = models.PositiveIntegerField(_("memory, days"), default=62)
    has_relay = models.BooleanField(_("has a relay"), default=False)
    settings = models.JSONField(default=dict, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.STOCK)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "serial_number"], name="meter_serial_number"),
            models.CheckConstraint(condition=Q(interval_s__gt=0), name="meter_interval_positive"),
        ]

    def __str__(self) -> str:
        return self.serial_number


class Channel(models.Model):
    """One quantity of one meter, secondary values in whole counts of `step`.

    `shown_count`: how many counts its reads move by at least, of one that files made; null: by one. Where
    none of them told it is 0, or minus what each interval took that took any: one value tells no step.
    `phase_code`: which phase (PhaseCodeKind) files said that it counts, 0 all of them; null: nothing said it.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="channels")
    reading_type = models.CharField(max_length=64)
    step_numerator = models.BigIntegerField()
    step_denominator = models.BigIntegerField()
    shown_count = models.BigIntegerField(null=True, blank=True)
    phase_code = models.PositiveSmallIntegerField(null=True, blank=True)
    register_digits = models.PositiveSmallIntegerField(null=True, blank=True)
    is_profiled = models.BooleanField(default=False)
    has_reads = models.BooleanField(default=False)  # set with the first read; such a meter is never deleted

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["meter", "reading_type"], name="channel_reading_type"),
            models.CheckConstraint(
                condition=Q(step_numerator__gt=0) & Q(step_denominator__gt=0), name="channel_step_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} {self.reading_type}"

    @property
    def least_count(self) -> int:
        """By how many counts its reads move at least; one, where nothing told a step."""
        return max(self.shown_count or 1, 1)


class DatedFact(models.Model):
    """A fact with valid time (`starts_at`, `ends_at` open when null) and recorded time."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField()

    class Meta:
        abstract = True


def _ends_after_start(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")), name=name
    )


class Installation(DatedFact):
    """A meter at a usage point. Its removal and installation reads are raw reads with source FIELD."""

    meter = models.ForeignKey(Meter, models.PROTECT, related_name="installations")
    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, related_name="installations")

    class Meta:
        constraints = [_ends_after_start("installation_period")]


class InstallationPast(models.Model):
    """Over what time an installation was told to be until an instant at which it was told otherwise."""

    installation = models.ForeignKey(  # the release before deletes meters and knows nothing of this
        Installation, models.CASCADE, related_name="past", db_constraint=False
    )
    until_at = models.DateTimeField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["until_at"], name="installation_past_until")]


class Multiplier(DatedFact):
    """The service multiplier (CT x PT) from secondary to primary values at a usage point."""

    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, related_name="multipliers")
    numerator = models.BigIntegerField()
    denominator = models.BigIntegerField(default=1)
    reason = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            _ends_after_start("multiplier_period"),
            models.CheckConstraint(
                condition=Q(numerator__gt=0) & Q(denominator__gt=0), name="multiplier_positive"
            ),
        ]


class ToldMultiplier(models.Model):
    """What a meter itself says that its transformers multiply by, until it says something else."""

    meter = models.ForeignKey(Meter, models.PROTECT, related_name="told_multipliers")
    told_at = models.DateTimeField()
    numerator = models.BigIntegerField()
    denominator = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["meter", "told_at"], name="told_multiplier_once"),
            models.CheckConstraint(
                condition=Q(numerator__gt=0) & Q(denominator__gt=0), name="told_multiplier_positive"
            ),
        ]


class Topology(DatedFact):
    """`child` is fed through `parent`."""

    parent = models.ForeignKey(UsagePoint, models.PROTECT, related_name="feeds")
    child = models.ForeignKey(UsagePoint, models.PROTECT, related_name="fed_by")

    class Meta:
        constraints = [
            _ends_after_start("topology_period"),
            models.CheckConstraint(condition=~Q(parent=F("child")), name="topology_no_loop"),
        ]


class Series(models.Model):
    """One quantity of one usage point, primary values, in milliwatt-hours an interval."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    usage_point = models.ForeignKey(UsagePoint, models.PROTECT, related_name="series")
    quantity = models.CharField(max_length=40, default="energy_import")
    interval_s = models.PositiveIntegerField(default=900)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["usage_point", "quantity"], name="series_quantity")]
        verbose_name_plural = "series"
