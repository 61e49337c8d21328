"""Formulas as MathML, written when the pages are built.

Browsers lay MathML out by themselves, so that formulas need no script and no network. A
formula that cannot be converted is a warning, which breaks the build.
"""

from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)

# In a displayed formula, the limits of these stand under and over the sign.
WITH_LIMITS = {"∑", "∏", "max", "min"}
UNDER_AND_OVER = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
FUNCTIONS = {"log", "exp", "cos", "max", "min"}
MATHML = "http://www.w3.org/1998/Math/MathML"


def mathml(latex, display):
    """Text of a `math` element for a formula in LaTeX."""
    formula = ElementTree.fromstring(convert(latex, display=display))
    for element in formula.iter():
        name = element.tag.removeprefix(f"{{{MATHML}}}")
        base = "".join(element[0].itertext()) if len(element) else ""
        if display == "block" and name in UNDER_AND_OVER and base in WITH_LIMITS:
            element.tag = f"{{{MATHML}}}{UNDER_AND_OVER[name]}"
        _space_functions(element)
    text = "".join(formula.itertext())
    if "\\" in text:
        raise ValueError(f"a command is not known: {text}")
    ElementTree.register_namespace("", MATHML)
    return ElementTree.tostring(formula, encoding="unicode")


def _space_functions(row):
    """Put a thin space between the name of a function and a factor beside it."""
    for i in reversed(range(1, len(row))):
        before, after = ("".join(row[k].itertext()) for k in (i - 1, i))
        is_argument = before in FUNCTIONS and not after.startswith(("(", "["))
        is_factor = after in FUNCTIONS and not row[i - 1].tag.endswith("mo")
        if is_argument or is_factor:
            row.insert(i, ElementTree.Element(f"{{{MATHML}}}mspace", width="0.17em"))


def visit_inline(translator, node):
    translator.body.append(_converted(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator, node):
    translator.body.append(f'<div class="formula">{_converted(node, "block")}</div>\n')
    raise nodes.SkipNode


def _converted(node, display):
    try:
        return mathml(node.astext(), display)
    except Exception as reason:
        # The converter's exceptions have no common base.
        logger.warning("%s in %r", repr(reason), node.astext(), location=node)
        return ""


def setup(app):
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(visit_inline, None),
        block_renderers=(visit_block, None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
