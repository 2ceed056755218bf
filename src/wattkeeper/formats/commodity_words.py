"""Words in a channel's name, or a table's heading, that say it is not of electricity: gas, heat, water, oil.

Where the name says electricity too, or a device that takes or makes it (a heat pump, a gas turbine, a station
of gas or water), it is. Uses of electricity that are called like what they give ("Heating", "Cooling",
"Warmwasser") say nothing.
"""

import re

_ENGLISH = (
    "gas|lpg|propane|steam|heat|oil|(?:district|community)[ _-](?:heating|cooling)|(?<!hot )(?<!hot_)water"
)
_GERMAN = (
    "(?:erd|stadt|flüssig|fluessig)?gas(?:zähler|zaehler|verbrauch|bezug|menge)?|heizöl|heizoel|dampf"
    "|(?:fern|nah|heiz)?(?:wärme|waerme)(?:zähler|zaehler|verbrauch|bezug|menge)?"
    "|(?:fern(?:kälte|kaelte)|(?:kälte|kaelte)(?:zähler|zaehler|menge))"
    "|(?:trink|kalt|ab)?wasser(?:zähler|zaehler|verbrauch|bezug|menge)?"
)
_CHINESE = (
    "燃气|天然气|煤气|液化气|用气|气量|气表|自来水|用水|水量|水表"
    "|供热|热力|热量|热能|热表|供冷|冷量|蒸汽|暖气"
)
_OTHER = re.compile(rf"(?<![^\W\d_])(?:{_ENGLISH}|{_GERMAN})(?![^\W\d_])|{_CHINESE}", re.IGNORECASE)
_ELECTRIC = re.compile(
    "electri|elektri|strom|power|photovolt|export|einspeis|feed-?in|turbine|generat|engine|pump|heater|tracing"
    r"|station|works|treatment|(?<![^\W\d_])(?:elec|pv|chp|bhkw)(?![^\W\d_])|[电泵]",
    re.IGNORECASE,
)


def names_other_commodity(text: str) -> bool:
    """Return whether a name says gas, heat, water or the like and nothing of electricity."""
    return bool(_OTHER.search(text)) and not _ELECTRIC.search(text)
