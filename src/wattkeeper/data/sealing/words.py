"""Sealed texts found by word, without opening them.

What is found: whole words, the beginnings of words from three characters on, and in Chinese, Japanese and
Korean writing any two characters that stand together; case, width and accents composed differently make no
difference. What is not found: the middle of a word, a beginning of one or two letters, a single character
of a longer Chinese name. A tidy price: the table of hashes says which rows share a word, not which word.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from django.db.models import Model, Q

from wattkeeper.data.sealing.models import SealedWord
from wattkeeper.data.sealing.vault import current_key_id, hash_of_word, key_ids

_START_MIN_COUNT, _START_MAX_COUNT = 3, 16
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")


def words_of(text: str) -> set[str]:
    """Return all that a text is found by."""
    found: set[str] = set()
    for run in _runs(text):
        found.add(run)
        if _IS_CJK.match(run):
            found.update(_pairs(run))
        else:
            found.update(run[:count] for count in range(_START_MIN_COUNT, min(len(run), _START_MAX_COUNT)))
    return found


def wanted_words(text: str) -> set[str]:
    """Return what a text must be found by, all of it, to match the words that somebody searched."""
    found: set[str] = set()
    for run in _runs(text):
        found.update(_pairs(run) if _IS_CJK.match(run) and len(run) > 1 else (run,))
    return found


def index_row(row: Model, texts: dict[str, str], *, tenant_id: int) -> None:
    """Write the words of a row's searched columns (`place` -> text) in the place of those it had."""
    table = row._meta.label_lower
    SealedWord.objects.filter(table=table, row_id=row.pk).delete()
    if not any(texts.values()):
        return
    key_id = current_key_id(tenant_id)
    hashes = {hash_of_word(key_id, place, word) for place, text in texts.items() for word in words_of(text)}
    SealedWord.objects.bulk_create(
        SealedWord(tenant_id=tenant_id, table=table, row_id=row.pk, key_id=key_id, word=word)
        for word in sorted(hashes)
    )


def matching(model: Any, *, tenant_id: int, text: str, at: str = "pk") -> Q:
    """Return the condition that a row's searched columns hold the words of `text`; `at` leads to the row."""
    wanted = wanted_words(text)
    if not wanted:
        return Q(pk__in=())
    keys = key_ids(tenant_id)
    condition = Q()
    for word in sorted(wanted):
        hashes = [hash_of_word(key_id, place, word) for key_id in keys for place in model.searched_places()]
        found = SealedWord.objects.filter(table=model._meta.label_lower, word__in=hashes)
        condition &= Q(**{f"{at}__in": found.values("row_id")})
    return condition


def _runs(text: str) -> Iterable[str]:
    return _RUNS.findall(unicodedata.normalize("NFKC", text).casefold())


def _pairs(run: str) -> set[str]:
    return {run[at : at + 2] for at in range(len(run) - 1)}
