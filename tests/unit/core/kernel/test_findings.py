"""A finding made twice is one finding."""

from wattkeeper.core.kernel.findings import Finding


def test_the_key_leaves_the_evidence_out() -> None:
    first = Finding("vee.spike", 0, 900, {"energy_milliwh": 5}, series_id=7)
    again = Finding("vee.spike", 0, 900, {"energy_milliwh": 6}, series_id=7)
    assert first != again
    assert first.key == again.key == ("vee.spike", 7, -1, 0, 900)
    assert Finding("vee.spike", 0, 900, channel_id=7).key != first.key
