"""The documentation: complete, without dead links and without parts from a network."""

import importlib
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", *DOCS.glob("*.md")]
    + [
        path
        for folder in ("api", "developers", "guide")
        for path in DOCS.glob(f"{folder}/*.md")
    ]
)
MODULES = sorted(path.stem for path in DOCS.glob("api/*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^(`{3,}|:{3,}).*?^\1", re.DOTALL | re.MULTILINE)
BUILD = DOCS / "_build" / "html"
# Written by the build.
BUILT = ("auto_examples/", "generated/")


def public_modules():
    """Modules of the package that the page on the API does not call private."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"Everything else is private.*?\.\n", text, re.DOTALL)
    private = re.findall(r"`skvae\.(\w+)`", sentence)
    found = {"skvae"}
    for path in (ROOT / "skvae").iterdir():
        name = path.stem
        is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
        if is_module and not name.startswith("_") and name not in private:
            found.add(name)
    return sorted(found)


def test_every_public_module_has_a_page():
    assert public_modules() == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_every_public_object_is_on_the_page_of_its_module(name):
    module = importlib.import_module("skvae" if name == "skvae" else f"skvae.{name}")
    public = getattr(module, "__all__", None) or [
        key for key in vars(module) if key[0].isupper()
    ]
    text = (DOCS / "api" / f"{name}.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(?:   |\.\. py:data:: )(\w+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(set(public) - {"__version__"})


def slugs(path):
    """Anchors of the headings of a page, as MyST makes them."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.replace("`", ""))
        .strip()
        .lower()
        .replace(" ", "-")
        for title in titles
    }


def dead_links(path):
    """Relative links of a page to a file or a heading that is not there."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    dead = []
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (path.parent / name).resolve() if name else path
        if target.is_relative_to(DOCS):
            inside = target.relative_to(DOCS).as_posix()
            if inside.startswith(BUILT):
                continue
        if not target.is_file() or (anchor and anchor not in slugs(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_documentation_resolve(path):
    assert dead_links(path) == []


def test_dead_links_are_found(tmp_path):
    (tmp_path / "there.md").write_text("# A title, in `code`\n")
    page = tmp_path / "page.md"
    links = ["there.md", "there.md#a-title-in-code", "there.md#other", "gone.md"]
    page.write_text("# Page\n" + "\n".join(f"[a]({link})" for link in links))
    assert dead_links(page) == ["there.md#other", "gone.md"]


class Page(HTMLParser):
    """Anchors of an HTML page, and what it links to or shows."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), set()
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


def dead_links_of_site(folder):
    """Pages with their local links to a file or an anchor that is not there."""
    # Those of the theme are templates.
    paths = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path) for path in paths}
    dead = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve()
            target = target if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            is_there = target.is_file() and (
                not parts.fragment
                or anchors is None
                or unquote(parts.fragment) in anchors
            )
            if not is_there:
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead


is_built = pytest.mark.skipif(
    not (BUILD / "index.html").is_file(), reason="`make docs` builds the pages"
)


@is_built
def test_built_pages_have_no_dead_links():
    assert dead_links_of_site(BUILD) == []


@is_built
def test_built_pages_show_no_path_of_the_machine_they_were_built_on():
    pages = {path: path.read_text(encoding="utf-8") for path in BUILD.rglob("*.html")}
    assert [path.name for path, text in pages.items() if str(ROOT) in text] == []


def test_dead_links_of_a_site_are_found(tmp_path):
    (tmp_path / "there.html").write_text('<h1 id="a">A</h1><a href="#b">b</a>')
    links = ["there.html#a", "there.html#c", "gone.html", "https://elsewhere.org"]
    text = "".join(f'<a href="{link}">a</a>' for link in links)
    (tmp_path / "page.html").write_text(text + '<img src="gone.png">')
    assert sorted(dead_links_of_site(tmp_path)) == [
        "page.html: gone.html",
        "page.html: gone.png",
        "page.html: there.html#c",
        "there.html: #b",
    ]


def module_of(path):
    """A module of the documentation's own, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_inventories_are_what_their_script_writes():
    write = module_of(DOCS / "_inventories" / "write.py")
    assert sorted(path.stem for path in write.FOLDER.glob("*.inv")) == sorted(
        write.PROJECTS
    )
    for project in write.PROJECTS:
        path = write.FOLDER / f"{project}.inv"
        assert path.read_bytes() == write.inventory(project)


@pytest.fixture(scope="module")
def conf():
    pytest.importorskip("sphinx_gallery", reason="needs the extra skvae[docs]")
    return module_of(DOCS / "conf.py")


def test_nothing_comes_from_a_network(conf):
    assert conf.html_math_renderer == "mathml"
    # Inventories are files, which Sphinx would fetch otherwise.
    for _, path in conf.intersphinx_mapping.values():
        assert (DOCS / path).is_file()
    fetched = [*conf.html_css_files, *getattr(conf, "html_js_files", [])]
    for name in fetched:
        assert (DOCS / "_static" / name).is_file()


def test_groups_of_the_gallery_have_a_place(conf):
    folders = {path.name for path in (DOCS / "examples").iterdir() if path.is_dir()}
    assert folders <= set(conf.GROUPS)


def test_formulas_are_mathml():
    pytest.importorskip("latex2mathml", reason="needs the extra skvae[docs]")
    mathml = module_of(DOCS / "_extensions" / "mathml.py").mathml
    text = mathml(r"\frac{1}{n} \sum_{d=1}^{D} \log p(x)", "block")
    assert "<mfrac>" in text
    assert "<munderover><mo>∑</mo>" in text
    assert '<mi>log</mi><mspace width="0.17em" /><mi>p</mi>' in text
    # Beside the sign in a line of text; no space before a bracket.
    assert "<msub><mo>∑</mo>" in mathml(r"\sum_i \log(x)", "inline")
    assert "mspace" not in mathml(r"1 + \log(x)", "inline")
    with pytest.raises(ValueError, match="a command is not known"):
        mathml(r"\unheardof x", "inline")


def test_warnings_of_examples_show_no_path():
    import warnings

    reset = module_of(DOCS / "_extensions" / "plain_warnings.py").reset
    before = warnings.formatwarning
    try:
        reset({}, "plot_example.py")
        text = warnings.formatwarning(
            UserWarning("too few rows"), UserWarning, __file__, 1
        )
    finally:
        warnings.formatwarning = before
    assert text == "UserWarning: too few rows\n"
