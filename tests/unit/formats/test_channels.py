"""Channels' OBIS codes: the same however they are written, and of electricity alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.formats.channels import is_export, is_part, split_rate

GROUP = st.integers(0, 255)
PREFIXES = ("1-{b}:", "1-{b}.", "01-{b:02}:", "1.{b}.")
TAILS = ("", "*255", "&255", ".255")


def said(channel: str) -> tuple[bool, bool, bool, str]:
    return is_export(channel), is_part(channel, "Wh"), is_part(channel, "varh"), split_rate(channel)[1]


@given(
    GROUP,
    st.one_of(st.sampled_from([1, 2, 3, 4]), GROUP),
    st.one_of(st.sampled_from([8, 9, 29]), GROUP),
    st.one_of(st.integers(0, 9), GROUP),
    st.sampled_from(PREFIXES),
    st.sampled_from(["{}.{}.{}", "{:02}.{:02}.{:02}", "{:03}.{:03}.{:03}"]),
    st.sampled_from(TAILS),
)
def test_a_code_says_the_same_however_it_is_written(
    b: int, c: int, d: int, e: int, prefix: str, groups: str, tail: str
) -> None:
    rate = str(e) if d in (8, 9) and e else ""
    wanted = c in (2, 4, 10), c not in (1, 2), c not in (3, 4), rate
    code = groups.format(c, d, e)
    assert said(prefix.format(b=b) + code + tail) == said(code + tail) == wanted


@given(
    st.sampled_from([0, *range(2, 16)]),
    GROUP,
    GROUP,
    st.sampled_from(["{}-0:", "{}.0."]),
    st.sampled_from(TAILS),
)
def test_a_code_of_another_medium_is_a_name(a: int, c: int, e: int, prefix: str, tail: str) -> None:
    assert said(f"{prefix.format(a)}{c}.8.{e}{tail}") == (False, False, False, "")


@pytest.mark.parametrize(
    "name", ["7-20:99.33.17", "10.0.0.1", "2.8", "2.8.0.1.7.9.3", "1-0:2.8.0/255", "2.8.x"]
)
def test_a_name_like_a_code_is_none(name: str) -> None:
    assert said(name) == (False, False, False, "")
