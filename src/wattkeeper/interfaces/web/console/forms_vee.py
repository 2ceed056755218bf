"""Forms of rule sets, groups of series, edits and rebill proposals."""

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.core.vee.reasons import REASON_CODES
from wattkeeper.data.vee.models import EVERYONE, SeriesGroup, StoredRuleSet

KWH_DIGITS = 6
REASONS = {
    0: _("Another reason, in words"),
    1: _("Meter or device was exchanged"),
    2: _("Extreme weather"),
    9: _("Being looked into"),
    24: _("Wrong data replaced"),
    28: _("Current or voltage transformer faulty"),
    41: _("Display faulty"),
    43: _("Power cut"),
    44: _("The meter was being tested"),
    45: _("The reading failed validation"),
    61: _("Tampered with"),
    72: _("Computed again from actual data"),
    75: _("Read by the customer"),
    76: _("Communication fault"),
    87: _("The meter was reset"),
    100: _("Wrong multiplier"),
    104: _("Channels were swapped"),
    107: _("Meters were swapped"),
}
_STEP = {"type": "datetime-local", "step": "60"}


def _local(label: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs=_STEP, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, widget=widget, help_text=_("Local time of the site."))


class RuleSetForm(forms.Form):
    """A rule set as JSON."""

    document = forms.CharField(
        label=_("Rule set, JSON"),
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "class": "code"}),
        help_text=_(
            "Only what differs from the defaults. A severity is off, warn, fail or estimate. Formulas say"
            " what has to be true of each day, as in max < 6 * mean."
        ),
    )

    def clean_document(self) -> dict[str, Any]:
        """Return the document."""
        try:
            document = json.loads(self.cleaned_data["document"])
        except (ValueError, RecursionError) as error:
            raise ValidationError(str(error)) from error
        if not isinstance(document, dict):
            raise ValidationError(gettext("This is no JSON object."))
        return document


class AssignForm(forms.Form):
    """Which group is judged by what from which day on."""

    starts_date = forms.DateField(
        label=_("From the day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = SeriesGroup.objects.filter(tenant_id=tenant_id).exclude(code=EVERYONE).order_by("code")
        rule_sets = StoredRuleSet.objects.filter(tenant_id=tenant_id).order_by("-id")
        codes = [(EVERYONE, gettext("Every series")), *((row.code, str(row)) for row in groups)]
        self.fields = {
            "group_code": forms.ChoiceField(label=_("Group"), choices=codes),
            "rule_set": forms.ModelChoiceField(
                rule_sets,
                label=_("Rule set"),
                required=False,
                help_text=_("Empty: none of its own; it is judged as every series is."),
            ),
            **self.fields,
        }


class SeriesGroupForm(forms.Form):
    """A group of series that are judged alike."""

    code = forms.CharField(label=_("code"), max_length=40)
    name = forms.CharField(label=_("name"), max_length=120, required=False)


class MembersForm(forms.Form):
    """Usage points whose series move into a group."""

    codes = forms.CharField(
        label=_("Codes of usage points"),
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_("One a line. A series is in one group at a time."),
    )
    leaves = forms.BooleanField(label=_("Take them out instead"), required=False)

    def clean_codes(self) -> list[str]:
        """Return the codes."""
        lines = self.cleaned_data["codes"].splitlines()
        return [line.strip() for line in lines if line.strip()]


class EditForm(forms.Form):
    """New energy for a span of intervals."""

    starts_at = _local(_("From"))
    ends_at = _local(_("To"))
    total_kwh = forms.DecimalField(
        min_value=Decimal(0),
        max_digits=18,
        decimal_places=KWH_DIGITS,
        help_text=_("Spread evenly over the intervals, to the last digit."),
    )
    reason_code = forms.TypedChoiceField(label=_("Reason"), coerce=int, choices=())
    reason = forms.CharField(label=_("In words"), max_length=240, required=False)

    def __init__(self, *args: Any, energy_unit: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["total_kwh"].label = gettext("Energy of the whole span, %(unit)s") % {"unit": energy_unit}
        field = self.fields["reason_code"]
        assert isinstance(field, forms.TypedChoiceField)
        named = [(code, f"{code} {REASONS[code]}") for code in REASONS]
        others = [(code, f"AEMO {code}") for code in sorted(REASON_CODES - REASONS.keys())]
        field.choices = [*named, *others]


class NoteForm(forms.Form):
    """Why."""

    note = forms.CharField(label=_("Why"), max_length=240, widget=forms.Textarea(attrs={"rows": 3}))


class ThresholdForm(forms.Form):
    """From how much changed energy on an edit needs a second person."""

    threshold = forms.DecimalField(
        label=_("Changed energy, kWh"),
        min_value=Decimal(0),
        max_digits=15,
        decimal_places=KWH_DIGITS,
        help_text=_("Of reactive energy as many kvarh."),
    )


class ApproveForm(forms.Form):
    """The figures that were seen."""

    version = forms.CharField(widget=forms.HiddenInput)


class RejectForm(ApproveForm, NoteForm):
    """The figures that were seen, and why the bill stays as it is."""
