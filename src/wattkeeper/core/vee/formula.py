"""Formulas that users write over named arrays: arithmetic, comparison, and, or, not. Nothing else parses."""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError

LENGTH_MAX = 500
DEPTH_MAX = 20
NUMBER_MAX = 10**18

Array = NDArray[Any]


def _divide(left: Array, right: Array) -> Array:
    return np.divide(left, np.where(right == 0, np.nan, right))


_BINARY: dict[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: _divide,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class InvalidFormula(WattkeeperError):
    """Raised when a text is no formula."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula: true for what is in order, as in ``max < 3 * mean and zero_count < 20``."""

    text: str
    _body: ast.expr = field(compare=False, repr=False)

    def holds(self, named: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Return where the formula is true.

        What a division by zero leaves unknown is true: nothing was shown to be wrong.
        """
        with np.errstate(all="ignore"):
            value = _evaluate(self._body, named)
        result: NDArray[np.bool_] = np.isnan(value) | (value != 0)
        return result


def parse_formula(text: str, names: frozenset[str]) -> Formula:
    """Return the formula of a text that uses only `names`.

    :raises InvalidFormula: if it does not parse, or holds anything else
    """
    if len(text) > LENGTH_MAX:
        raise InvalidFormula("vee.formula-too-long", length_max=LENGTH_MAX)
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidFormula("vee.formula-syntax", text=text) from error
    _check(body, names, text, DEPTH_MAX)
    return Formula(text, body)


def _check(node: ast.expr, names: frozenset[str], text: str, depth: int) -> None:
    if depth == 0:
        raise InvalidFormula("vee.formula-too-long", length_max=LENGTH_MAX)
    if isinstance(node, ast.Name) and node.id not in names:
        raise InvalidFormula("vee.formula-name", name=node.id, names=", ".join(sorted(names)))
    for part in _parts(node, text):
        _check(part, names, text, depth - 1)


def _parts(node: ast.expr, text: str) -> list[ast.expr]:
    """Return the parts of a node, refusing what is not arithmetic."""
    match node:
        case ast.Name():
            return []
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number) if -NUMBER_MAX <= number <= NUMBER_MAX:
            return []
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return [left, right]
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            return [operand]
        case ast.BoolOp(_, values):
            return values
        case ast.Compare(left, ops, comparators) if all(type(op) in _COMPARE for op in ops):
            return [left, *comparators]
    raise InvalidFormula("vee.formula-syntax", text=text)


def _evaluate(node: ast.expr, named: Mapping[str, Array]) -> Array:
    """Return the value of a part, in floats: true is 1, false 0, unknown not a number."""
    match node:
        case ast.Name(name):
            return np.asarray(named[name], dtype=np.float64)
        case ast.Constant(int() | float() as value):
            return np.asarray(value, dtype=np.float64)
        case ast.BinOp(left, op, right):
            return _BINARY[type(op)](_evaluate(left, named), _evaluate(right, named))
        case ast.UnaryOp(op, operand):
            inner = _evaluate(operand, named)
            return -inner if isinstance(op, ast.USub) else 1 - _truth(inner)
        case ast.BoolOp(op, values):
            parts = [_truth(_evaluate(each, named)) for each in values]
            return _all(parts) if isinstance(op, ast.And) else 1 - _all([1 - part for part in parts])
        case ast.Compare(left, ops, comparators):
            return _compare(ops, [_evaluate(each, named) for each in (left, *comparators)])
    raise InvalidFormula("vee.formula-syntax", text=ast.unparse(node))


def _compare(ops: Sequence[ast.cmpop], values: Sequence[Array]) -> Array:
    return _all(
        [
            np.where(np.isnan(left) | np.isnan(right), np.nan, _COMPARE[type(compare)](left, right))
            for compare, (left, right) in zip(ops, pairwise(values), strict=True)
        ]
    )


def _truth(value: Array) -> Array:
    return np.where(np.isnan(value), np.nan, value != 0)


def _all(parts: Sequence[Array]) -> Array:
    """Return whether all are true: one that is false decides, else one that is unknown."""
    joined = np.stack(np.broadcast_arrays(*parts))
    return np.where((joined == 0).any(axis=0), 0.0, joined.min(axis=0))
