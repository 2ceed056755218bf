"""Links, keys, device states, reads off displays, dirty windows, runs and jobs."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q, Value
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.accounts.models import User
from wattkeeper.data.registry.models import Channel, Meter, Site, Tenant
from wattkeeper.data.sealing.fields import SealedRow, SealedTextField

MAIN = "main"  # the head-end that reads what is given to no other
HEADEND_NAME = r"\A[a-z0-9][a-z0-9_-]{0,30}\Z"


class Link(SealedRow):
    """One line to devices: a concentrator, a gateway, a meter of its own, a broker."""

    class Transport(models.TextChoices):
        """How the line is reached."""

        TCP = "TCP", "TCP"
        MQTT = "MQTT", "MQTT"
        PULSE_TCP = "PULSE_TCP", _("TCP pulse gateway")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    site = models.ForeignKey(Site, models.PROTECT, related_name="links")
    name = models.CharField(_("name"), max_length=80)
    transport = models.CharField(_("transport"), max_length=12, choices=Transport.choices)
    endpoint = SealedTextField(
        _("endpoint"), max_length=200, db_column="endpoint_sealed", plain="plain_endpoint"
    )  # may hold a broker's password
    plain_endpoint = models.CharField(max_length=200, blank=True, default="", db_column="endpoint")
    timeout_ms = models.PositiveIntegerField(_("time-out, ms"), default=2000)
    retries_count = models.PositiveSmallIntegerField(_("retries"), default=2)
    poll_s = models.PositiveIntegerField(_("poll every, s"), default=900)
    headend = models.CharField(
        _("head-end"), max_length=31, default=MAIN, db_default=MAIN, validators=[RegexValidator(HEADEND_NAME)]
    )  # who reads it: one of several processes
    is_up = models.BooleanField(null=True)
    changed_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=80, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="link_name")]

    def __str__(self) -> str:
        return self.name


class DeviceKey(models.Model):
    """A key or password of a meter, sealed: only who holds the key file opens it."""

    meter = models.ForeignKey(Meter, models.PROTECT, related_name="keys")
    name = models.CharField(max_length=40)
    sealed = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["meter", "name"], name="device_key_name")]


class InvocationCounter(models.Model):
    """The next counter that may be used with a meter's key; reserved ahead, never lowered."""

    meter = models.OneToOneField(Meter, models.PROTECT, related_name="invocation_counter")
    next_counter = models.BigIntegerField(default=1)


class MeterStatus(models.Model):
    """What the head-end last learned of a meter."""

    meter = models.OneToOneField(Meter, models.PROTECT, related_name="status")
    is_answering = models.BooleanField(default=False)
    reported_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=80, blank=True)
    failures_count = models.PositiveIntegerField(default=0)
    clock_offset_s = models.IntegerField(null=True)
    relay_state_code = models.SmallIntegerField(null=True)
    relay_read_at = models.DateTimeField(null=True)


class FieldRead(models.Model):
    """A register read off the display by a person; delivered to the readings store after its transaction.

    `correction_index`: how many were noted for the same instant before; the last one holds. `set_to_count`:
    what somebody set the register to then, from `value_count`; null where nobody did. `is_withdrawal`: this
    is no read, but what was noted for the instant before counts no more.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    channel = models.ForeignKey(Channel, models.PROTECT, related_name="field_reads")
    measured_at = models.DateTimeField()
    value_count = models.BigIntegerField()  # counts of the channel's step
    set_to_count = models.BigIntegerField(null=True)
    correction_index = models.PositiveSmallIntegerField(default=0, db_default=0)
    is_withdrawal = models.BooleanField(default=False, db_default=False)
    recorded_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "set_to_count"], name="field_read_set")]


class Lease(models.Model):
    """Who does what only one may do: `fence_id` rises with each holder, `beats_count` while it lives."""

    name = models.CharField(max_length=40, unique=True)
    holder = models.CharField(max_length=80, blank=True)
    fence_id = models.BigIntegerField(default=0)
    beats_count = models.BigIntegerField(default=0)


class Counter(models.Model):
    """A number that only goes up: the fences of claims."""

    name = models.CharField(max_length=40, unique=True)
    value = models.BigIntegerField(default=0)


class DirtyWindow(models.Model):
    """Spans of series of one shard to derive again; written by whoever changed an input.

    `starts_at` and `ends_at` enclose the spans; `spans` holds them as `data.collection.spans` packs them.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    shard_index = models.BigIntegerField(db_index=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    spans = models.BinaryField()
    spans_count = models.PositiveIntegerField()
    reason = models.CharField(max_length=40)
    created_at = models.DateTimeField()
    fence_id = models.BigIntegerField(null=True)  # the claim that holds it
    leased_until = models.DateTimeField(null=True)  # of a claim, for the release before; without one: rests
    beats_count = models.BigIntegerField(default=0, db_default=0)  # rises while the claim's holder lives

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="dirty_window_period")
        ]


class Run(models.Model):
    """One run of the pipeline; its id is the version of what it wrote."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    recorded_at = models.DateTimeField()
    rule_set = models.CharField(max_length=40)
    code_version = models.CharField(max_length=40)
    values_count = models.BigIntegerField(default=0)
    values_mix = models.BigIntegerField(null=True)  # sum over its values (`store.run_mixes`); null: not kept
    roll_ups_count = models.BigIntegerField(default=0, db_default=0)
    roll_ups_mix = models.BigIntegerField(null=True)  # as `values_mix`, over its days and months
    stored_at = models.DateTimeField(null=True)  # when its newest values could be read; null: it wrote none
    record_mix = models.BigIntegerField(
        null=True
    )  # of the rest of the row (`queries.record_mix`); null: not kept


class Job(SealedRow):
    """A long piece of work with progress; done again from its last step when its worker died."""

    class State(models.TextChoices):
        """How far."""

        QUEUED = "QUEUED", _("Waiting")
        RUNNING = "RUNNING", _("Running")
        DONE = "DONE", _("Done")
        FAILED = "FAILED", _("Failed")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    kind = models.CharField(max_length=40)
    label = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.RUNNING)
    done_count = models.BigIntegerField(default=0)
    total_count = models.BigIntegerField(default=0)
    errors = models.JSONField(default=list)  # of the release before, which did not seal them
    errors_json = SealedTextField(blank=True)  # may quote cells of a file
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    params = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))  # all a worker needs
    result = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))  # counts by name
    fence_id = models.BigIntegerField(default=0, db_default=0)  # rises with each claim; 0: not a worker's
    beats_count = models.BigIntegerField(default=0, db_default=0)  # rises while the worker lives
    failures_count = models.PositiveSmallIntegerField(default=0, db_default=0)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")


class ImportMapping(models.Model):
    """How the columns of somebody's files say intervals: a mapping's JSON under a name."""

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    name = models.CharField(_("name"), max_length=80)
    content = models.TextField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="import_mapping_name")]

    def __str__(self) -> str:
        return self.name


class Retention(models.Model):
    """How long readings of a kind stay, as an organisation wants it: months beside the running one.

    In the store, and then in the archive's files; files without a number, and kinds without a row, for good.
    """

    class Kind(models.TextChoices):
        """What stays."""

        FRAMES = "FRAMES", _("Frames")
        READS = "READS", _("Reads")
        VALUES = "VALUES", _("Values")

    tenant = models.ForeignKey(Tenant, models.PROTECT)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    store_months_count = models.PositiveSmallIntegerField()
    file_months_count = models.PositiveSmallIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind"], name="retention_kind"),
            models.CheckConstraint(
                condition=Q(store_months_count__gte=1)
                & (Q(file_months_count__isnull=True) | Q(file_months_count__gt=F("store_months_count"))),
                name="retention_order",
            ),
        ]
