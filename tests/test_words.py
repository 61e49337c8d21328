"""Wording of docstrings: a noun or an imperative first, no personified code."""

import ast
import re
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
OPENING = re.compile(r"\s*(What|From|Of|Whether|How)\b")
PERSONIFIED = re.compile(r"\b(is told|are told|hears|nobody|says nothing)\b")


def docstrings(source):
    """Docstrings and attribute docstrings of a module: strings that stand alone."""
    return [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def badly_worded(source):
    return [
        text
        for text in docstrings(source)
        if OPENING.match(text) or PERSONIFIED.search(" ".join(text.split()))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_worded_plainly(path):
    assert not badly_worded(path.read_text(encoding="utf-8"))


def test_bad_wording_is_found():
    source = '"""A module."""\nx = 1\n"""Of shape (n,)."""\n'
    assert badly_worded(source) == ["Of shape (n,)."]
    assert badly_worded('def f():\n    """Return it; nobody\n    is told."""\n')
