"""Stored values of usage points as a file to take away, for programs and people alike."""

from collections.abc import Sequence
from datetime import date, datetime

from django.http import HttpResponse

from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.api import Loss, LossList
from wattkeeper.formats.detect import Format
from wattkeeper.formats.files import write_file
from wattkeeper.interfaces.reads.exports import blocks_for
from wattkeeper.interfaces.web.services import require_store

SPAN_MAX_DAYS = 400
POINTS_MAX_COUNT = 100
_ENDINGS: dict[Format, str] = {
    "csv": "csv",
    "xlsx": "xlsx",
    "nem12": "csv",
    "nem13": "csv",
    "greenbutton": "xml",
    "iec61968": "xml",
    "mscons": "txt",
}


def export_file(
    services: Services,
    *,
    tenant_id: int,
    form: Format,
    codes: Sequence[str],
    first: date,
    last: date,
    as_of: datetime | None,
) -> tuple[HttpResponse, list[Loss]]:
    """Return a file of the local days from the first to the last, and what is not in it.

    :raises WattkeeperError: ``requests.span``, ``requests.too-many-points``, ``registry.not-found``,
        ``exports.as-of-registers``, ``store.*``, ``xlsx.too-many-rows``
    """
    if not 0 <= (last - first).days < SPAN_MAX_DAYS:
        raise WattkeeperError("requests.span", limit_days=SPAN_MAX_DAYS)
    if len(codes) > POINTS_MAX_COUNT:
        raise WattkeeperError("requests.too-many-points", limit_count=POINTS_MAX_COUNT)
    losses = LossList()
    blocks = blocks_for(
        form,
        require_store(services),
        losses,
        data_folder=services.data_folder,
        tenant_id=tenant_id,
        codes=codes,
        first=first,
        last=last,
        as_of=as_of,
    )
    answer = HttpResponse(b"".join(write_file(form, blocks, losses)), content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="{form}-{first}-{last}.{_ENDINGS[form]}"'
    return answer, losses.all()
