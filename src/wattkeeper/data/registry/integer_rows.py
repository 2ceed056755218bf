"""Thousands of rows of integers from one statement, as an array: objects are made of a few rows at a time."""

from itertools import chain
from typing import Any

import numpy as np
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet
from numpy.typing import NDArray

_ROWS_COUNT = 10_000  # taken as objects together
NOTHING = -1  # what a query says for NULL, by `Coalesce`


def integer_rows(query: "QuerySet[Any, Any]", width: int) -> NDArray[np.int64]:
    """Return what a query of `width` integer columns finds, shape (rows, width); no column may be NULL."""
    try:
        statement, parameters = query.query.sql_with_params()
    except EmptyResultSet:
        return np.zeros((0, width), dtype=np.int64)
    parts = [np.zeros((0, width), dtype=np.int64)]
    with connections[query.db].cursor() as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(_ROWS_COUNT):
            cells = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * width)
            parts.append(cells.reshape(-1, width))
    return np.concatenate(parts)
