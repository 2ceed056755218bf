"""Forms of the import: the file, and what each of its columns is."""

from collections.abc import Mapping as Fields
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.registry.models import Site
from wattkeeper.formats.encodings import ENCODINGS
from wattkeeper.formats.mapping import Mapping
from wattkeeper.formats.mapping_roles import ColumnRole, TableRules, compose, parse_qualities
from wattkeeper.formats.table_head import TableColumn

FILE_MAX_BYTES = 64 * 1024 * 1024
ROLES = (
    ("", _("not used")),
    ("value", _("values")),
    ("interval", _("interval of the row's day")),
    ("time", _("time (or date)")),
    ("clock", _("time of day")),
    ("offset", _("offset from UTC")),
    ("usage_point", _("usage point")),
    ("meter_serial", _("serial number of the meter")),
    ("channel", _("channel")),
    ("unit", _("unit")),
    ("quality", _("quality")),
    ("interval_s", _("interval, s")),
    ("details", _("details")),
)
UNITS = ("kWh", "Wh", "MWh", "kvarh", "varh", "kW")
DELIMITERS = ((",", ","), (";", ";"), ("\t", _("tab")), ("|", "|"))
TEXT_ENCODINGS = (("", _("as its bytes tell")), *((name, name.upper()) for name in ENCODINGS))
THOUSANDS = (("", _("none")), (",", ","), (".", "."), (" ", _("space")), ("'", "'"))
LABELS = (("start", _("the start of its interval")), ("end", _("the end of its interval")))
BLANKS = (("missing", _("a missing value")), ("skip", _("nothing")), ("error", _("an error")))
TIME_FORMATS = (
    *("iso", "YYYY-MM-DD hh:mm", "YYYY/MM/DD hh:mm", "DD.MM.YYYY hh:mm", "DD/MM/YYYY hh:mm"),
    *("MM/DD/YYYY hh:mm", "MM/DD/YYYY hh:mm AM", "YYYYMMDD hh:mm", "YYYYMMDDhhmm"),
    *("YYYY年MM月DD日 hh:mm", "DD-MMM-YYYY hh:mm", "DD.MM.YY hh:mm"),
)


class UploadForm(forms.Form):
    """A file, and the site of the meters that it brings."""

    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "CSV, Excel, NEM12, NEM13, Green Button, IEC 61968-9, MSCONS, gzip or zip of them, up to 64 MiB."
        ),
    )
    site = forms.ModelChoiceField(
        Site.objects.none(), label=_("Site"), required=False, help_text=_("Where new meters belong.")
    )

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        site = self.fields["site"]
        assert isinstance(site, forms.ModelChoiceField)
        site.queryset = Site.objects.filter(tenant_id=tenant_id, retired_at__isnull=True).order_by("code")

    def clean_file(self) -> Any:
        """Return the file unless it is too large."""
        file = self.cleaned_data["file"]
        if file.size > FILE_MAX_BYTES:
            raise ValidationError(gettext("The file is larger than 64 MiB."))
        return file


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A column as the page shows it, with its own fields."""

    column: TableColumn
    role: BoundField
    channel: BoundField
    unit: BoundField


class WholeForm(forms.Form):
    """What becomes of a file with wrong rows."""

    is_whole = forms.BooleanField(label=_("Store nothing if a row is wrong"), required=False)


class ColumnsForm(WholeForm):
    """How a table says intervals: what each column is, and what holds for all of it."""

    encoding = forms.ChoiceField(label=_("Encoding of the text"), required=False, choices=TEXT_ENCODINGS)
    delimiter = forms.ChoiceField(label=_("Columns are separated by"), choices=DELIMITERS)
    decimal_mark = forms.ChoiceField(label=_("Decimal mark"), choices=[(".", "."), (",", ",")])
    thousands_mark = forms.ChoiceField(label=_("Mark of thousands"), required=False, choices=THOUSANDS)
    header_line = forms.IntegerField(
        label=_("Line of the header"), min_value=0, max_value=100, help_text=_("0: the file has none.")
    )
    time_format = forms.CharField(
        label=_("How times are written"),
        max_length=40,
        widget=forms.TextInput(attrs={"list": "time_formats"}),
        help_text=_("iso, or a pattern of YYYY or YY, MM or MMM (Jan), DD, hh, mm, ss, AM."),
    )
    zone = forms.ChoiceField(
        label=_("Time zone of times without an offset"),
        required=False,
        choices=[
            ("", _("times carry their offset")),
            *((name, name) for name in sorted(available_timezones())),
        ],
    )
    label = forms.ChoiceField(label=_("A time names"), choices=LABELS)
    interval_s = forms.CharField(
        label=_("interval, s"),
        max_length=6,
        help_text=_("Where no column says it; 0: the values are registers."),
    )
    usage_point = forms.CharField(
        label=_("usage point"), max_length=40, required=False, help_text=_("Where no column says it.")
    )
    meter_serial = forms.CharField(
        label=_("serial number of the meter"),
        max_length=64,
        required=False,
        help_text=_("Where no column says it; empty: a meter of its own for files."),
    )
    blank = forms.ChoiceField(label=_("A blank value is"), choices=BLANKS)
    qualities = forms.CharField(
        label=_("Words of quality"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The file's word = ours, one a line: W = raw, E = est."),
    )
    save_as = forms.CharField(
        label=_("Keep these columns under a name"),
        max_length=80,
        required=False,
        help_text=_("For the next file."),
    )

    def __init__(self, *args: Any, columns: Sequence[TableColumn], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._columns = columns
        for number, column in enumerate(columns):
            named = {"title": column.title}
            self.fields[f"role_{number}"] = forms.ChoiceField(
                choices=ROLES, required=False, label=gettext("%(title)s is") % named
            )
            self.fields[f"channel_{number}"] = forms.CharField(
                max_length=40,
                required=False,
                widget=forms.TextInput(attrs={"list": "directions"}),
                label=gettext("channel of %(title)s") % named,
            )
            self.fields[f"unit_{number}"] = forms.ChoiceField(
                choices=[(unit, unit) for unit in UNITS],
                required=False,
                label=gettext("unit of %(title)s") % named,
            )
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxInput):
                field.widget.attrs.setdefault("aria-label", str(field.label))

    @property
    def rows(self) -> list[ColumnRow]:
        """The columns with their fields."""
        return [
            ColumnRow(column, self[f"role_{at}"], self[f"channel_{at}"], self[f"unit_{at}"])
            for at, column in enumerate(self._columns)
        ]

    @property
    def shown_rows(self) -> list[ColumnRow]:
        """The columns that a person looks at: of those that are the intervals of a day the first."""
        return [row for row, is_folded in zip(self.rows, self._folded(), strict=True) if not is_folded]

    @property
    def folded_rows(self) -> list[ColumnRow]:
        """The columns that follow the first interval of a day and say nothing of their own."""
        return [row for row, is_folded in zip(self.rows, self._folded(), strict=True) if is_folded]

    @property
    def last_title(self) -> str:
        """The heading of the last folded column."""
        return self.folded_rows[-1].column.title

    def _folded(self) -> list[bool]:
        rows = self.rows
        is_interval = [row.role.value() == "interval" for row in rows]
        return [
            at > 0 and is_interval[at] and is_interval[at - 1] and not row.channel.value()
            for at, row in enumerate(rows)
        ]

    @property
    def rules(self) -> list[BoundField]:
        """The fields that hold for the whole table."""
        own = ("role_", "channel_", "unit_")
        return [field for field in self if not field.name.startswith(own) and field.name not in _APART]

    def mapping(self) -> Mapping:
        """
        Return the mapping that was chosen.

        :raises FormatError: ``mapping.wrong`` with the field, ``formats.*``
        """
        given = self.cleaned_data
        roles = [
            ColumnRole(
                column.name, given[f"role_{at}"], given[f"channel_{at}"].strip(), given[f"unit_{at}"] or "kWh"
            )
            for at, column in enumerate(self._columns)
        ]
        plain = {name: given[name] for name in _PLAIN_RULES}
        return compose(roles, TableRules(**plain, qualities=parse_qualities(given["qualities"])))


_PLAIN_RULES = (
    *(
        "encoding",
        "delimiter",
        "decimal_mark",
        "thousands_mark",
        "header_line",
        "zone",
        "label",
        "time_format",
    ),
    *("interval_s", "usage_point", "meter_serial", "blank"),
)
_APART = ("is_whole", "save_as")


def initial_of(roles: Sequence[ColumnRole], rules: TableRules) -> Fields[str, object]:
    """Return what a form begins with."""
    initial: dict[str, object] = {name: getattr(rules, name) for name in _PLAIN_RULES}
    initial["qualities"] = "\n".join(f"{word} = {ours}" for word, ours in rules.qualities)
    for at, column in enumerate(roles):
        initial |= {f"role_{at}": column.role, f"channel_{at}": column.channel, f"unit_{at}": column.unit}
    return initial
