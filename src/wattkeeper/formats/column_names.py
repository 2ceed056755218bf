"""What the headings of a table's columns are called that say whose a value is, in any case."""

from collections.abc import Sequence

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


def columns_named(header: Sequence[str]) -> dict[str, int | None]:
    """Return which column is which field, from 0; None where none is called so."""
    titles = [title.strip().lower() for title in header]
    return {
        field: next((titles.index(word) for word in words if word in titles), None)
        for field, words in (_NAMES | OF_ONE_VALUE).items()
    }
