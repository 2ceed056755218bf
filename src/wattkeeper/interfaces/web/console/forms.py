"""Forms of registry entries: sites, usage points, links, meters."""

import re
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms.boundfield import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.actions.registry.channels import USUAL_CHANNELS
from wattkeeper.core.kernel.endpoints import MARK, shown_endpoint
from wattkeeper.data.collection.models import Link
from wattkeeper.data.registry.models import Meter, Site, UsagePoint
from wattkeeper.interfaces.web.console.texts import FAMILIES

if TYPE_CHECKING:
    RowForm = forms.ModelForm[Any]
else:
    RowForm = forms.ModelForm

SUGGESTIONS_COUNT = 200
_KEY_LINE = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*((?:[0-9A-Fa-f]{2}\s*)+)")


class RecordField(forms.CharField):
    """A row of the tenant named by its own code; the first codes are suggested while typing."""

    def __init__(self, rows: QuerySet[Any], key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._rows = rows
        self._key = key

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> BoundField:
        """Return the bound field, its input joined to the suggestions."""
        self.widget.attrs["list"] = f"id_{field_name}_codes"
        return super().get_bound_field(form, field_name)

    @property
    def suggestions(self) -> list[str]:
        """Codes to choose from."""
        return list(self._rows.order_by(self._key).values_list(self._key, flat=True)[:SUGGESTIONS_COUNT])

    def clean(self, value: Any) -> Model | None:
        """Return the row of that code."""
        code = super().clean(value)
        if not code:
            return None
        row: Model | None = self._rows.filter(**{self._key: code}).first()
        if row is None:
            raise ValidationError(gettext("There is no “%(code)s” to choose."), params={"code": code})
        return row


class SiteForm(RowForm):
    """A site's own fields."""

    time_zone = forms.ChoiceField(
        label=_("time zone"), choices=[(name, name) for name in sorted(available_timezones())]
    )

    class Meta:
        """What of the row is written."""

        model = Site
        fields = ("code", "name", "kind", "time_zone", "address")


class UsagePointForm(RowForm):
    """A usage point's own fields."""

    class Meta:
        """What of the row is written."""

        model = UsagePoint
        fields = ("code", "name", "kind", "customer_name", "is_protected", "power_max_w")


class LinkForm(RowForm):
    """A link's own fields."""

    class Meta:
        """What of the row is written."""

        model = Link
        fields = ("name", "transport", "endpoint", "timeout_ms", "retries_count", "poll_s")
        help_texts = {"endpoint": _("host:port; mqtts://host:port; listen://0.0.0.0:port?from=… or &token=…")}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.endpoint
        if stored != (shown := shown_endpoint(stored)):
            self.initial["endpoint"] = shown
            endpoint = self.fields["endpoint"]
            stays = gettext("%(mark)s stands for the stored secret, which stays.") % {"mark": MARK}
            endpoint.help_text = f"{stays} {endpoint.help_text}"


class MeterForm(RowForm):
    """A meter's own fields; keys are written, never shown."""

    family = forms.ChoiceField(
        label=_("driver"),
        required=False,
        choices=[(code, FAMILIES.get(code, code)) for code in USUAL_CHANNELS],
        help_text=_("A new meter gets the channels that this driver usually has."),
    )
    keys = forms.CharField(
        label=_("Keys"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("One a line: name=hexadecimal. Sealed at once and never shown again."),
    )

    class Meta:
        """What of the row is written."""

        model = Meter
        fields = (
            "serial_number",
            "make_model",
            "family",
            "link",
            "address",
            "interval_s",
            "memory_days",
            "has_relay",
            "settings",
        )
        labels = {"settings": _("Settings of the driver")}  # noqa: RUF012
        help_texts = {  # noqa: RUF012
            "settings": _('JSON, such as {"imp_per_kwh": 1600} for a pulse counter.')
        }
        widgets = {"settings": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})}  # noqa: RUF012

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        link = self.fields["link"]
        assert isinstance(link, forms.ModelChoiceField)
        link.queryset = Link.objects.filter(tenant_id=tenant_id, retired_at__isnull=True).order_by("name")

    def clean_settings(self) -> dict[str, Any]:
        """Return the settings, nothing as an empty object."""
        settings = self.cleaned_data["settings"] or {}
        if not isinstance(settings, dict):
            raise ValidationError(gettext("This is not a JSON object."))
        return settings

    def clean_keys(self) -> dict[str, bytes]:
        """Return the keys by name."""
        keys = {}
        for line in self.cleaned_data["keys"].splitlines():
            if not line.strip():
                continue
            match = _KEY_LINE.fullmatch(line)
            if match is None:
                raise ValidationError(gettext("A line is not name=hexadecimal."))
            keys[match[1]] = bytes.fromhex(match[2])
        return keys


def with_site(form: forms.BaseForm, tenant_id: int, site_id: int | None) -> None:
    """Put the choice of a site in front of a form's fields: where a new entry belongs."""
    sites = Site.objects.filter(tenant_id=tenant_id, retired_at__isnull=True).order_by("code")
    field = forms.ModelChoiceField(sites, label=_("Site"), initial=site_id)
    form.fields = {"site": field, **form.fields}
