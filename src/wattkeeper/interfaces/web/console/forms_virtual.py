"""Forms of virtual meters, groups of usage points and comparisons of meters."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from wattkeeper.core.vee.accuracy import LIMITS, LOSS_MAX_PPM, WINDOW_MAX_DAYS
from wattkeeper.data.registry.models import Site, UsagePoint
from wattkeeper.data.virtual.models import Node
from wattkeeper.interfaces.web.console.forms import RecordField
from wattkeeper.interfaces.web.console.forms_work import AtForm
from wattkeeper.interfaces.web.console.texts import ACCURACY_CLASSES

PARTS = {
    "customer-point": _("Usage point of a customer"),
    "feeder-point": _("Usage point on a feeder"),
    "site": _("Site in an area"),
    "area": _("Area in an area"),
}
TREES = {
    "site": _("Sites"),
    "area": _("Areas"),
    "feeder": _("Feeders and who feeds whom"),
    "customer": _("Customers"),
}
GRAINS = {"day": _("Days"), "month": _("Months"), "hour": _("Hours")}
DEFAULT_DAYS, DEFAULT_MONTHS_DAYS = 7, 365


def formula_field(*, required: bool = True) -> forms.CharField:
    """Return the field that a formula is written in."""
    attrs = {"rows": 3, "spellcheck": "false", "autocomplete": "off"}
    return forms.CharField(label=_("Formula"), required=required, widget=forms.Textarea(attrs=attrs))


class FormulaForm(AtForm):
    """A formula from an instant on; empty: nothing."""

    formula = formula_field(required=False)
    field_order = ("formula", "at")


class VirtualMeterForm(AtForm):
    """A new virtual meter."""

    code = forms.CharField(label=_("code"), max_length=40)
    name = forms.CharField(label=_("name"), max_length=120)
    formula = formula_field()
    interval_s = forms.IntegerField(
        label=_("interval, s"),
        required=False,
        min_value=60,
        max_value=86_400,
        help_text=_("Empty: the shortest that the intervals of all parts fit into."),
    )

    def __init__(self, *args: Any, tenant_id: int, site_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites = Site.objects.filter(tenant_id=tenant_id, retired_at__isnull=True).order_by("code")
        site = forms.ModelChoiceField(sites, label=_("Site"), initial=site_id or sites.first())
        at = self.fields.pop("at")
        self.fields = {"site": site, **self.fields, "at": at}


class GroupForm(forms.Form):
    """A group of usage points."""

    kind = forms.ChoiceField(label=_("Kind"), choices=Node.Kind.choices)
    code = forms.CharField(label=_("code"), max_length=40)
    name = forms.CharField(label=_("name"), max_length=120)


class GroupEditForm(forms.Form):
    """A group's own code and name."""

    code = forms.CharField(label=_("code"), max_length=40)
    name = forms.CharField(label=_("name"), max_length=120)


class BelongingForm(AtForm):
    """What belongs to a group from an instant on."""

    def __init__(self, *args: Any, tenant_id: int, group: Node, belonging: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        leaves = forms.BooleanField(label=_("It belongs to no such group from then on"), required=False)
        part = RecordField(_rows(tenant_id, group, belonging), "code", label=PARTS[belonging])
        self.fields = {"part": part, **self.fields, "leaves": leaves}


class EnergyForm(forms.Form):
    """What energy to add up."""

    tree = forms.ChoiceField(label=_("Added up by"), choices=list(TREES.items()))
    grain = forms.ChoiceField(label=_("Periods"), choices=list(GRAINS.items()))
    first_date = forms.DateField(
        label=_("From"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last_date = forms.DateField(
        label=_("To"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    kind = forms.MultipleChoiceField(
        label=_("Kinds of usage points"),
        choices=UsagePoint.Kind.choices,
        widget=forms.CheckboxSelectMultiple,
    )

    @classmethod
    def usual(cls, today: date) -> dict[str, Any]:
        """Return what is asked for where nothing was chosen: customers' last week by site."""
        yesterday = today - timedelta(days=1)
        first = yesterday - timedelta(days=DEFAULT_DAYS - 1)
        return {
            "tree": "site",
            "grain": "day",
            "first_date": first.isoformat(),
            "last_date": yesterday.isoformat(),
            "kind": [UsagePoint.Kind.CUSTOMER.value],
        }


class AccuracyForm(forms.Form):
    """A standing comparison of two meters, or of one with its sub-meters."""

    main_class = forms.ChoiceField(
        label=_("Its accuracy class"), choices=[(code, ACCURACY_CLASSES.get(code, code)) for code in LIMITS]
    )
    base_power_w = forms.IntegerField(
        label=_("Its basic or rated power, W"),
        min_value=1,
        help_text=_("Basic (direct) or rated (through transformers) current x voltage x phases, primary."),
    )
    reference_class = forms.ChoiceField(
        label=_("Accuracy class of the other side"),
        choices=[(code, ACCURACY_CLASSES.get(code, code)) for code in LIMITS],
        initial="0.5S",
    )
    loss_ppm = forms.IntegerField(
        label=_("Energy lost between them, parts per million"), min_value=0, max_value=LOSS_MAX_PPM, initial=0
    )
    window_days = forms.IntegerField(
        label=_("Days looked at"), min_value=1, max_value=WINDOW_MAX_DAYS, initial=30
    )

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        points = UsagePoint.objects.filter(tenant_id=tenant_id, retired_at__isnull=True)
        self.fields = {
            "main": RecordField(points, "code", label=_("Usage point of the meter in question")),
            "reference": RecordField(
                points,
                "code",
                label=_("Usage point of the check meter"),
                required=False,
                help_text=_("Empty: the sum of its sub-meters."),
            ),
            **self.fields,
        }


def _rows(tenant_id: int, group: Node, belonging: str) -> QuerySet[Any]:
    if belonging == "site":
        return Site.objects.filter(tenant_id=tenant_id)
    if belonging == "area":
        return Node.objects.filter(tenant_id=tenant_id, kind=Node.Kind.AREA).exclude(id=group.id)
    return UsagePoint.objects.filter(tenant_id=tenant_id)
