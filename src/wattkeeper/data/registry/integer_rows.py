"""Thousands of rows of integers from one statement, as an array: no object is made of a row or a cell."""

from itertools import chain
from typing import Any

import numpy as np
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet
from numpy.typing import NDArray

NOTHING = -1  # what a query says for NULL, by `Coalesce`


def integer_rows(query: "QuerySet[Any, Any]", width: int) -> NDArray[np.int64]:
    """Return what a query of `width` integer columns finds, shape (rows, width); no column may be NULL."""
    try:
        statement, parameters = query.query.sql_with_params()
    except EmptyResultSet:
        return np.zeros((0, width), dtype=np.int64)
    with connections[query.db].cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    cells = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(rows) * width)
    return cells.reshape(-1, width)
