"""Wording: docstrings in plain English, and names that have one meaning."""

import ast
import re
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
OPENING = re.compile(r"\s*(What|From|Of|Whether|How)\b")
PERSONIFIED = re.compile(r"\b(is told|are told|hears|nobody|says nothing)\b")
# Words that stood for many things: frequency, fraction, probability, weight, standard
# deviation, activity and scores each have a name of their own.
VAGUE = re.compile(r"(?:^|_)(shares?|spreads?|judge[ds]?)(?:_|$)")
# A parameter and an attribute of `LatentDisplay` are public.
VAGUE_BUT_PUBLIC = {"displays/_latent.py": {"spread"}}


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


def names(source):
    """Identifiers that a module binds or reads."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def vague_names(source):
    return {name for name in names(source) if VAGUE.search(name.lower())}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_have_one_meaning(path):
    public = VAGUE_BUT_PUBLIC.get(path.relative_to(ROOT).as_posix(), set())
    assert vague_names(path.read_text(encoding="utf-8")) == public


def test_vague_names_are_found():
    source = "def share_of(x): return x.spread, judged(_MAX_SHARE=x), shared, shares"
    expected = {"share_of", "spread", "judged", "_MAX_SHARE", "shares"}
    assert vague_names(source) == expected


def test_bad_wording_is_found():
    source = '"""A module."""\nx = 1\n"""Of shape (n,)."""\n'
    assert badly_worded(source) == ["Of shape (n,)."]
    assert badly_worded('def f():\n    """Return it; nobody\n    is told."""\n')
