"""What the headings of a table's columns are called that say whose a value is, in any case."""

import re
from collections.abc import Sequence

from wattkeeper.formats.commodity_words import names_other_commodity

_NO_ENERGY = re.compile(
    r"(?<![^\W\d_])(?:costs?|price|kosten|preis|betrag|temp|temperature?|humidity|usd|eur|gbp|cny"
    r"|(?:account|meter|serial|row|kunden|zähler)[ _-]?(?:id|no|nr|number|nummer))(?![^\W\d_])"
    r"|^(?:id|no\.?|nr\.?|index)$|[$€£¥]|\(元\)|（元）|电费|费用|金额|电价|单价|温度|湿度|序号|编号",
    re.IGNORECASE,
)
_REGISTER = re.compile(
    r"示数|示值|表码|表底|止码|抄见|(?<![^\W\d_])(?:(?:zähler|zaehler)?stand|register|cumulative|dial|index"
    r"|meter[ _-]readings?)(?![^\W\d_])",
    re.IGNORECASE,
)
_KINDS_AT_MOST = 5  # that a column tells apart; one of remarks has more
_NAMES = {
    "usage_point": (
        "usage_point",
        "usage point",
        "nmi",
        "mpan",
        "meter point",
        "zählpunkt",
        "zaehlpunkt",
        "户号",
        "用电点",
    ),
    "meter_serial": ("meter_serial", "serial", "meter", "zähler", "zaehlernummer", "表号", "电表"),
    "quality": ("quality", "status", "qualität", "flag", "质量", "状态"),
}
OF_ONE_VALUE = {  # a row's, or its day's
    "channel": (
        *("channel", "kanal", "通道", "数据类型", "commodity", "utility", "fuel", "energy type"),
        *("medium", "sparte", "energieart", "能源类型", "能源种类", "介质"),
    ),
    "unit": ("unit", "units", "einheit", "单位"),
}


def names_no_energy(title: str) -> bool:
    """Return whether a heading says what numbers below it are, and that it is nothing of a meter."""
    return bool(_NO_ENERGY.search(title))


def names_register(title: str) -> bool:
    """Return whether a heading says that the numbers below it are what a register showed."""
    return bool(_REGISTER.search(title))


def find_commodities(columns: Sequence[Sequence[str]]) -> int | None:
    """Return the column, from 0, some of whose cells say gas or the like: what it is called says nothing."""
    for at, cells in enumerate(columns):
        kinds = {cell.strip() for cell in cells}
        if len(kinds) <= _KINDS_AT_MOST and any(map(names_other_commodity, kinds)):
            return at
    return None


def columns_named(header: Sequence[str]) -> dict[str, int | None]:
    """Return which column is which field, from 0; None where none is called so."""
    titles = [title.strip().lower() for title in header]
    return {
        field: next((titles.index(word) for word in words if word in titles), None)
        for field, words in (_NAMES | OF_ONE_VALUE).items()
    }
