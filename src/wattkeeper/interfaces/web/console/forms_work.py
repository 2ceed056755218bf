"""Forms of work on what is there: copies, installations, multipliers, contracts, files, months, commands."""

from datetime import date, datetime
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.billing.models import Tariff
from wattkeeper.data.registry.models import Meter, UsagePoint
from wattkeeper.interfaces.web.console.forms import RecordField
from wattkeeper.interfaces.web.console.texts import SERIES

EXPORT_FORMATS = (
    ("csv", "CSV"),
    ("xlsx", "Excel"),
    ("nem12", "NEM12"),
    ("nem13", "NEM13"),
    ("greenbutton", "Green Button"),
    ("iec61968", "IEC 61968-9"),
    ("mscons", "MSCONS"),
)


def _day_input() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


def _at_field(**options: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
    told = {"label": _("At"), "help_text": _("Local time of the site."), **options}
    return forms.DateTimeField(widget=widget, **told)


class ConfirmForm(forms.Form):
    """Nothing to fill in: a yes."""


class CopyForm(forms.Form):
    """A copy's own code and name."""

    code = forms.CharField(label=_("code"), max_length=40)
    name = forms.CharField(label=_("name"), max_length=120)


class CopyLinkForm(forms.Form):
    """A copied link's own name and endpoint."""

    name = forms.CharField(label=_("name"), max_length=80)
    endpoint = forms.CharField(label=_("endpoint"), max_length=200)


class CopyMeterForm(forms.Form):
    """A copied meter's own serial number and address."""

    serial_number = forms.CharField(label=_("serial number"), max_length=64)
    address = forms.CharField(label=_("address on the link"), max_length=64, required=False)


class AtForm(forms.Form):
    """An instant."""

    at = _at_field()


class UntilForm(forms.Form):
    """An instant that may be left open."""

    until = _at_field(
        label=_("Until"),
        required=False,
        help_text=_("Local time of the site. Empty: until another contract begins, if one does."),
    )


class RemoveForm(AtForm):
    """When a meter was taken away and what it showed."""

    final_read = forms.CharField(label=_("Last reading on its display"), required=False)


class InstallForm(AtForm):
    """Where and when a meter was installed and what it showed."""

    initial_read = forms.CharField(label=_("First reading on its display"), required=False)

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        points = UsagePoint.objects.filter(tenant_id=tenant_id, retired_at__isnull=True)
        self.fields = {
            "usage_point": RecordField(points, "code", label=_("Usage point")),
            **self.fields,
        }


class ExchangeForm(AtForm):
    """Which meter took another's place, when, and what both showed."""

    final_read = forms.CharField(label=_("Last reading of the old meter"))
    initial_read = forms.CharField(label=_("First reading of the new meter"), initial="0")

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stock = Meter.objects.filter(tenant_id=tenant_id, state=Meter.State.STOCK)
        self.fields = {
            "new_meter": RecordField(stock, "serial_number", label=_("New meter, from stock")),
            **self.fields,
        }


class NoteReadForm(AtForm):
    """What a register showed, and what somebody set it to then."""

    quantity = forms.ChoiceField(label=_("Quantity"), choices=list(SERIES.items()))
    read = forms.CharField(label=_("Reading on its display"))
    set_to = forms.CharField(
        label=_("set to"),
        required=False,
        help_text=_("Only if somebody set the register to another value then."),
    )
    reason = forms.CharField(label=_("reason"), max_length=120, required=False)


class MultiplierForm(AtForm):
    """A multiplier from an instant on."""

    numerator = forms.IntegerField(label=_("Multiplier"), min_value=1)
    denominator = forms.IntegerField(label=_("divided by"), min_value=1, initial=1)
    reason = forms.CharField(label=_("reason"), max_length=120, required=False)


class ParentForm(AtForm):
    """Through which usage point another is fed."""

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        points = UsagePoint.objects.filter(tenant_id=tenant_id, retired_at__isnull=True)
        parent = RecordField(
            points, "code", label=_("Fed through"), required=False, help_text=_("Empty: nobody knows.")
        )
        self.fields = {"parent": parent, **self.fields}


class ContractForm(AtForm):
    """By which tariff a usage point is billed."""

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tariffs = Tariff.objects.filter(tenant_id=tenant_id).order_by("code")
        same = forms.BooleanField(
            label=_("The same customer goes on"),
            required=False,
            help_text=_("Their tiers count on. Those of a new customer begin anew."),
        )
        self.fields = {
            "tariff": forms.ModelChoiceField(tariffs, label=_("Tariff")),
            **self.fields,
            "is_same_customer": same,
        }


class WithdrawForm(forms.Form):
    """Whether the contract before the one that is withdrawn holds in its place."""

    before_goes_on = forms.BooleanField(
        label=_("The contract before it goes on"),
        required=False,
        help_text=_("It ended where this one begins. Otherwise it stays ended."),
    )


class CommentForm(forms.Form):
    """A word on why."""

    comment = forms.CharField(label=_("Comment"), widget=forms.Textarea(attrs={"rows": 3}))


class CloseGroupsForm(CommentForm):
    """A word on why whole groups are closed; nothing that came after they were shown is."""

    keys = forms.CharField(widget=forms.HiddenInput)
    up_to_id = forms.IntegerField(widget=forms.HiddenInput)


class MonthForm(forms.Form):
    """A month to bill; `accept_estimates`: also over estimates that no readings hold on both sides."""

    month = forms.DateField(label=_("Month"), input_formats=["%Y-%m"])
    accept_estimates = forms.BooleanField(label=_("Bill over estimates too"), required=False)

    def bounds(self) -> tuple[date, date]:
        """Return the first day of the month and of the next."""
        first: date = self.cleaned_data["month"]
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return first, following


class CommandForm(forms.Form):
    """A reason, and the word that this is the right meter; sent twice, it is one command."""

    reason = forms.CharField(label=_("reason"), max_length=240)
    is_sure = forms.BooleanField(label=_("I have checked that this is the right meter and customer."))
    idempotency_key = forms.CharField(
        max_length=80, widget=forms.HiddenInput, initial=lambda: f"web-{uuid4().hex}"
    )


class PasswordForm(forms.Form):
    """One's own new password."""

    current_password = forms.CharField(
        label=_("Current password"), widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    new_password = forms.CharField(
        label=_("New password"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )


class ExportForm(forms.Form):
    """Which days go out, in which format, as known when."""

    form = forms.ChoiceField(label=_("Format"), choices=EXPORT_FORMATS)
    first = forms.DateField(label=_("From"), widget=_day_input())
    last = forms.DateField(label=_("To"), widget=_day_input())
    as_of = forms.DateTimeField(
        label=_("As known at"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
        help_text=_("Local time of the site; empty: as known now."),
    )
    is_part_enough = forms.BooleanField(
        label=_("Leave out what is archived or the format can't hold"), required=False
    )


def local_now(at: datetime) -> datetime:
    """Return the instant to begin a form with: the whole minute before."""
    return at.replace(second=0, microsecond=0)
