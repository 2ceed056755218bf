"""`wattkeeper quality`: how AEMO, ESPI, IEC 61968-9, MSCONS and the UK say what we know of a value."""

from typing import Annotated

import typer

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality_codes import (
    ROWS,
    Quality,
    encode_aemo,
    encode_espi,
    encode_iec,
    encode_mscons,
    encode_uk,
    parse_quality_name,
    quality_name,
)
from wattkeeper.interfaces.cli.shell import JsonOption, print_rows

COLUMNS = ("quality", "aemo", "espi", "iec_61968_9", "mscons", "uk")


def quality(
    names: Annotated[
        list[str] | None, typer.Argument(help="such as est.linear+power_lost; none: the whole table")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List by which codes other standards say a quality. Nothing is stored or read."""
    wanted = [_named(name) for name in names] if names else [row.quality for row in ROWS]
    print_rows([_row(each) for each in wanted], COLUMNS, as_json=as_json)


def _named(name: str) -> Quality:
    found = parse_quality_name(name)
    if found is None:
        raise WattkeeperError("csv.quality-unknown")
    return found


def _row(own: Quality) -> dict[str, str]:
    return {
        "quality": quality_name(own),
        "aemo": encode_aemo(own),
        "espi": " ".join(map(str, encode_espi(own))),
        "iec_61968_9": " ".join(encode_iec(own)),
        "mscons": " ".join(encode_mscons(own)),
        "uk": encode_uk(own),
    }
