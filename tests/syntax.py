"""Syntax trees of sources, each parsed once: many tests look at all of them."""

import ast
from functools import cache


@cache
def syntax(source: str) -> ast.Module:
    """Return the tree of a source; nobody changes it."""
    return ast.parse(source)
