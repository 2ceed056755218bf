"""Stored values of a usage point as a file of a person's choice."""

from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console.form_page import About, answer_about
from wattkeeper.interfaces.web.console.forms_work import ExportForm
from wattkeeper.interfaces.web.console.visit import Visit, found, page
from wattkeeper.interfaces.web.export_file import export_file


@page()
def usage_point_export(visit: Visit, usage_point_id: int) -> HttpResponse:
    """Give a file of stored values; one that can't hold all of them only to who says so."""
    rows = UsagePoint.objects.select_related("site").filter(tenant_id=visit.tenant_id, id=usage_point_id)
    point = found(rows.first(), "usage-point", usage_point_id)
    zone = point.site.time_zone

    def export(fields: dict[str, Any]) -> HttpResponse:
        is_part_enough = fields.pop("is_part_enough")
        answer, losses = export_file(visit.services, tenant_id=visit.tenant_id, codes=[point.code], **fields)
        if losses and not is_part_enough:
            told = [sentence(loss.code, loss.params, get_language() or "en") for loss in losses]
            raise WattkeeperError("exports.not-whole", field="is_part_enough", losses=" ".join(told))
        return answer

    yesterday = visit.services.now().astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
    initial = {"form": "csv", "first": yesterday.replace(day=1), "last": yesterday}
    about = About(reverse("console:usage_point", args=[point.id]), point.name, zone)
    lead = _("Every stored value with its quality, in the days of the site.")
    make = partial(ExportForm, initial=initial)
    return answer_about(visit, about, _("Export values"), _("Download"), make, export, lead=lead)
