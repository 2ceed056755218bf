"""Two runs that share out the parameters of tests leave out none."""

from hypothesis import given
from hypothesis import strategies as st

from conformance.shared_out import is_of_share


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 7)))
def test_each_is_tried_and_the_first_of_each_test_twice(counts: dict[str, int]) -> None:
    names = [f"{test}[{number}]" for test, count in counts.items() for number in range(count)]
    by_run = [
        {name for name, is_one in zip(names, is_of_share(names, share), strict=True) if is_one}
        for share in (0, 1)
    ]
    assert by_run[0] | by_run[1] == set(names)
    assert by_run[0] & by_run[1] == {f"{test}[0]" for test in counts}
