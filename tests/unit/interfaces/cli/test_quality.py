"""`wattkeeper quality`: the one table, row by row, and of any quality."""

import json

from shell_runner import refused, run
from wattkeeper.core.kernel.quality_codes import (
    ROWS,
    decode_aemo,
    decode_espi,
    decode_iec,
    decode_mscons,
    decode_uk,
    parse_quality_name,
    quality_name,
)


def test_the_whole_table_reads_back() -> None:
    rows = json.loads(run("quality", "--json"))
    assert [row["quality"] for row in rows] == [quality_name(row.quality) for row in ROWS]
    for row in rows:
        own = parse_quality_name(row["quality"])
        assert own is not None
        assert decode_iec(row["iec_61968_9"].split()) == own
        mscons = row["mscons"].split()
        read = [decode_aemo(row["aemo"]), decode_mscons(mscons[0], mscons[1:]), decode_uk(row["uk"])]
        read += [decode_espi(map(int, row["espi"].split()))] if row["espi"] else []
        is_estimate = own.provenance.name in ("ESTIMATED", "PROJECTED")
        assert not is_estimate or all(
            each is not None and each.provenance.name != "MEASURED" for each in read
        )


def test_any_quality_can_be_asked_for() -> None:
    (row,) = json.loads(run("quality", "est.linear+power_lost", "--json"))
    assert (row["quality"], row["uk"]) == ("est.linear+power_lost", "E")
    assert [row["quality"] for row in json.loads(run("quality", "A", "E", "--json"))] == ["raw", "est"]
    assert refused("quality", "splendid") == "csv.quality-unknown"
