"""The digest of a document: of its content, not of how it is written down."""

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.content import content_sha256

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DOCUMENTS = st.recursive(
    st.integers(-(10**6), 10**6) | TEXTS | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_the_order_of_fields_and_the_way_it_is_kept_change_nothing(document: object) -> None:
    kept = json.loads(json.dumps(_turned(document), indent=1))
    assert content_sha256(kept) == content_sha256(document)


@given(DOCUMENTS, st.data())
def test_any_other_leaf_is_another_document(document: object, data: st.DataObject) -> None:
    leaves = list(_leaves(document))
    if not leaves:
        return
    wanted = data.draw(st.integers(0, len(leaves) - 1))
    assert content_sha256(_with_other(document, iter(range(len(leaves))), wanted)) != content_sha256(document)


def _turned(node: object) -> object:
    if isinstance(node, dict):
        return {name: _turned(node[name]) for name in reversed(node)}
    return [_turned(each) for each in node] if isinstance(node, list) else node


def _leaves(node: object) -> Iterator[object]:
    if isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from _leaves(each)
    else:
        yield node


def _with_other(node: object, places: Iterator[int], wanted: int) -> object:
    if isinstance(node, dict):
        return {name: _with_other(each, places, wanted) for name, each in node.items()}
    if isinstance(node, list):
        return [_with_other(each, places, wanted) for each in node]
    return f"{node!r} or other" if next(places) == wanted else node
