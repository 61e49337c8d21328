"""Sphinx configuration."""

import re
import sys
from pathlib import Path

from docutils import nodes
from numpydoc.xref import DEFAULT_LINKS

from skvae import __version__

sys.path.append(str(Path(__file__).parent / "_extensions"))

project = "skvae"
author = "skvae developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# The gallery writes its own pages from the examples.
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "groupwise"
# Types are in the docstrings, with shapes and units.
autodoc_typehints = "none"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
# The class template lists the members; numpydoc would list them a second time.
numpydoc_show_class_members = False
# Types of parameters link to their pages: these, and nothing else.
numpydoc_xref_param_type = True
DEFAULT_LINKS.clear()
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {
    "DataFrame": "pandas.DataFrame",
    "RandomState": "numpy.random.RandomState",
    "Tensor": "torch.Tensor",
    "ndarray": "numpy.ndarray",
}

# The inventories are in the repository: a build is the same with and without network.
intersphinx_mapping = {
    name: (url, f"_inventories/{name}.inv")
    for name, url in {
        "joblib": "https://joblib.readthedocs.io/en/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "sklearn": "https://scikit-learn.org/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }.items()
}

# Groups of the gallery, folders of `examples`, in the order of the guide's chapters.
GROUPS = ["start", "balance", "tables", "jobs", "extend", "experiments"]

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "subsection_order": [f"examples/{name}" for name in GROUPS],
    "within_subsection_order": "FileNameSortKey",
    # The pages of the API end with the examples that use the object.
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skvae",),
    "reference_url": {"skvae": None},
    "reset_modules": ("matplotlib", "plain_warnings.reset"),
    # Modules that the examples import are no examples.
    "ignore_pattern": r"^_",
    # Pictures and what is printed; not the value of a block's last line.
    "capture_repr": (),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    # A broken example breaks the build.
    "abort_on_example_error": True,
}

# Nothing in a page may come from the network.
html_math_renderer = "mathml"

# A copied block pastes without prompts and without what is printed.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"skvae {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def skip_metadata_request(app, what, name, obj, skip, options):
    """Leave out the `set_*_request` methods that scikit-learn adds to each estimator.

    Their docstrings are scikit-learn's own and refer to pages of its user guide, which
    do not exist here.
    """
    return True if re.fullmatch(r"set_\w+_request", name) else None


def trim_code(app, doctree):
    """Leave out the blank line that ends what a doctest prints."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block.children = [nodes.Text(block.rawsource)]


def setup(app):
    app.connect("doctree-read", trim_code)
    app.connect("autodoc-skip-member", skip_metadata_request)
