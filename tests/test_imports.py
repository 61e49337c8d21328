"""The architecture, read from the imports: who may import whom."""

import ast
import functools
import graphlib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "skvae"
FAMILIES = (
    *("balance", "divergences", "learning_rates", "likelihoods", "networks"),
    "priors",
)
# Files of a family that its base class, and whoever is given one of its members, reads.
BASES = ("_base", "_posterior", "_group", "_inputs", "_dispersion", "_dispersed")
MAX_LINES, MAX_ROOT_FILES = 400, 8
# Most of it are docstrings.
LONGER_FILES = {"skvae._vae"}

# Who may import whom, from the bottom to the top. A kind is a folder, or a file of the
# root; everybody may import the "ground", a folder and these files.
GROUND = ("exceptions", "ground", "_sklearn_compat", "_torch_compat")
CLOSED_FORM = ("ground", "data", "linear")
FORMULA = (*CLOSED_FORM, "base", "member", "family")
MAY_IMPORT = {
    "ground": (),
    "data": ("ground", "data"),
    "linear": ("ground", "linear"),
    "base": (*CLOSED_FORM, "base"),
    "member": (*CLOSED_FORM, "base", "member"),
    "family": ("base", "member"),
    "model": (*FORMULA, "model"),
    "training": (*CLOSED_FORM, "base", "model", "training"),
    "fitted": (*FORMULA, "model", "fitted"),
    "fit": (*FORMULA, "model", "training", "fitted", "fit"),
    "_vae": (*FORMULA, "model", "fitted", "fit"),
    "path": (*FORMULA, "model", "fitted", "fit", "_vae", "path"),
    "_vae_cv": ("ground", "data", "path", "_vae"),
    "_outliers": ("ground", "data", "fitted", "fit", "_vae", "path"),
    "model_selection": ("ground", "model_selection"),
    "metrics": (*FORMULA, "model", "fitted", "path", "metrics"),
    "displays": (
        *("ground", "data", "linear", "fitted", "_vae", "path"),
        *("model_selection", "metrics", "displays"),
    ),
    "callbacks": ("ground", "_vae", "displays", "callbacks"),
    "export": (*FORMULA, "model", "fitted", "export"),
    "package": ("ground", "_vae", "_vae_cv", "_outliers", "path"),
    "__main__": ("ground",),
}


def kind_of(module):
    """Kind of a module in the table above, and its folder or file in the package."""
    _, *parts = module.split(".")
    if not parts:
        return "package", ""
    place = parts[0]
    if place in GROUND:
        return "ground", place
    if place not in FAMILIES:
        return (place if place in MAY_IMPORT else None), place
    member = "base" if parts[-1] in BASES else "member"
    return "family" if len(parts) == 1 else member, place


@dataclass
class Import:
    """One name that a module imports."""

    module: str
    name: str
    line: int
    at_module_level: bool
    for_types: bool

    @property
    def target(self):
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True)
class Module:
    """A module's syntax tree and its imports."""

    tree: ast.Module
    n_lines: int
    imports: tuple[Import, ...]

    @classmethod
    def of(cls, code, name, is_package):
        tree = ast.parse(code)
        imports = tuple(imports_of(tree, name, is_package))
        return cls(tree, len(code.splitlines()), imports)


def imports_of(tree, module, is_package):
    """Every import, inside functions and for type checkers too."""

    def visit(node, at_module_level, for_types):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, at_module_level, for_types)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                up = module.split(".")
                up = up[: len(up) - node.level + is_package]
                source = ".".join([*up, *filter(None, [source])])
            for alias in node.names:
                yield Import(
                    source, alias.name, node.lineno, at_module_level, for_types
                )
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from visit(child, at_module_level, True)
            for child in node.orelse:
                yield from visit(child, at_module_level, for_types)
        else:
            is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            inside = at_module_level and not is_function
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside, for_types)

    return visit(tree, True, False)


@functools.cache
def package():
    """Module of each file of the package, by its path below the root."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(ROOT.rglob("*.py"))
    }


def name_of(file):
    """Dotted name of a file's module; a package has its own name."""
    parts = ["skvae", *file.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def parsed(file, code):
    return Module.of(code, name_of(file), file.endswith("__init__.py"))


def modules(file=None, code=""):
    """All modules by their names; with `code` at the end of one file, or in a new one.

    Files are parsed once in the whole run.
    """
    files = dict(package())
    if file is not None:
        files[file] = f"{files.get(file, '')}\n{code}\n"
    return {name_of(name): parsed(name, text) for name, text in files.items()}


def import_violations(modules):
    """Broken rules on who imports whom, as `module:line: message`."""
    family_kinds = {"base", "member", "family"}
    for name, module in modules.items():
        kind, folder = kind_of(name)
        if kind is None:
            yield f"{name}: is in no folder or file that MAY_IMPORT names"
            continue
        for found in module.imports:
            where = f"{name}:{found.line}"
            origin, *_ = found.module.split(".")
            if origin == "sklearn":
                is_private = any(part[0] == "_" for part in found.target.split("."))
                if is_private and not name.endswith(("_compat", "._base_scorer")):
                    yield f"{where}: {found.target} is private to scikit-learn"
                if kind == "training":
                    yield f"{where}: training imports scikit-learn"
            if origin != "skvae":
                continue
            target = found.target if found.target in modules else found.module
            other_kind, other_folder = kind_of(target)
            if f"{name}.".startswith(f"{target}."):
                yield f"{where}: imports {target}, which it is in"
            elif other_kind not in MAY_IMPORT[kind]:
                yield f"{where}: {kind} imports {target}, of {other_kind}"
            elif {kind, other_kind} <= family_kinds and folder != other_folder:
                yield f"{where}: a {kind} of {folder} imports {target}"


def loop_violations(modules):
    """Loops over epochs outside the training folder."""
    for name, module in modules.items():
        if name.startswith("skvae.training"):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
                head = f"{ast.unparse(node.target)} in {ast.unparse(node.iter)}"
            elif isinstance(node, ast.While):
                head = ast.unparse(node.test)
            else:
                continue
            if "epoch" in head or "max_iter" in head:
                yield f"{name}: loops over epochs: {head}"


def isinstance_violations(modules):
    """Code that looks for a member of a family where it should ask the base."""
    family_of = {
        node.name: kind_of(name)[1]
        for name, module in modules.items()
        if kind_of(name)[0] == "member"
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }
    for name, module in modules.items():
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.Call) and len(node.args) == 2):
                continue
            if ast.unparse(node.func) not in {"isinstance", "issubclass"}:
                continue
            for part in ast.walk(node.args[1]):
                found = part.id if isinstance(part, ast.Name) else None
                if family_of.get(found, kind_of(name)[1]) != kind_of(name)[1]:
                    yield f"{name}:{node.lineno}: looks for a {found}"


FOR_TRAINING_ONLY = (
    "torch.cuda.graphs",
    "torch.cuda.graph",
    "torch.cuda.CUDAGraph",
    "torch.cuda.make_graphed_callables",
    "torch.distributed",
)


def torch_violations(modules):
    """CUDA graphs and distributed training outside training, private names anywhere."""
    for name, module in modules.items():
        used = [(found.line, found.target) for found in module.imports]
        used += [
            (node.lineno, ast.unparse(node))
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute)
        ]
        for line, target in used:
            is_fenced = any(
                f"{target}.".startswith(f"{part}.") for part in FOR_TRAINING_ONLY
            )
            if is_fenced and not name.startswith("skvae.training"):
                yield f"{name}:{line}: {target} belongs into training"
            origin, *parts = target.split(".")
            is_private = any(part[:1] == "_" for part in parts) or parts[:1] == ["ops"]
            if origin == "torch" and is_private and name != "skvae._torch_compat":
                yield f"{name}:{line}: {target} is private to torch"


def loaded_by_the_package(modules):
    """Modules that `import skvae` loads, found by following module-level imports."""
    loaded, waiting = set(), ["skvae"]
    while waiting:
        name = waiting.pop()
        if name in loaded or name not in modules:
            continue
        loaded.add(name)
        for found in modules[name].imports:
            if found.at_module_level and not found.for_types:
                parts = found.target.split(".")
                # A module is loaded after the packages that it is in.
                waiting += [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
    return loaded


def lightness_violations(modules):
    """Module-level imports by which `import skvae` loads torch or what is optional."""
    heavy = {"torch", "pandas", "polars", "matplotlib"}
    for name in sorted(loaded_by_the_package(modules)):
        for found in modules[name].imports:
            is_heavy = found.module.split(".")[0] in heavy
            if is_heavy and found.at_module_level and not found.for_types:
                yield f"{name}:{found.line}: import skvae loads {found.module}"


def length_violations(modules):
    """Files that have grown too long."""
    for name, module in modules.items():
        if module.n_lines >= MAX_LINES and name not in LONGER_FILES:
            yield f"{name}: {module.n_lines} lines, at most {MAX_LINES - 1} are allowed"


def root_violations(modules):
    """More files in the root of the package than a reader takes in at a glance."""
    files = [name for name in modules if name.count(".") == 1]
    single = [
        name for name in files if not any(m.startswith(f"{name}.") for m in modules)
    ]
    # With the package's own file.
    if len(single) + 1 > MAX_ROOT_FILES:
        yield f"skvae: {len(single) + 1} files, at most {MAX_ROOT_FILES} are allowed"


def circle_violations(modules):
    """A circle of files that import each other, if only for type checkers."""
    graph = {}
    for name, module in modules.items():
        targets = [
            found.target if found.target in modules else found.module
            for found in module.imports
        ]
        graph[name] = [target for target in targets if target in modules]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        first, *others = error.args[1]
        yield f"{first}: imports itself by way of {', '.join(others)}"


RULES = [
    import_violations,
    circle_violations,
    isinstance_violations,
    loop_violations,
    torch_violations,
    lightness_violations,
    length_violations,
    root_violations,
]


@pytest.mark.parametrize("rule", RULES)
def test_package_keeps_the_rule(rule):
    assert list(rule(modules())) == []


def test_import_of_the_package_is_followed():
    loaded = loaded_by_the_package(modules())
    assert {"skvae._vae", "skvae.balance._linear", "skvae.networks._mlp"} <= loaded
    assert "skvae.training._train" not in loaded


BREACHES = [
    (
        circle_violations,
        "likelihoods/_group.py",
        "if TYPE_CHECKING:\n    from skvae.likelihoods._dispersed import Dispersed",
    ),
    # Upwards.
    (import_violations, "model/_module.py", "import skvae._vae"),
    (import_violations, "model/_module.py", "from skvae import training"),
    (import_violations, "model/_module.py", "from skvae.training import Plan"),
    (import_violations, "fitted/_inference.py", "def f():\n    from skvae import _vae"),
    (import_violations, "fitted/_inference.py", "from skvae.training import Plan"),
    (import_violations, "fit/_fit.py", "from skvae.path._path import beta_path"),
    (import_violations, "data/_canonical.py", "from skvae.linear._model import x"),
    (import_violations, "linear/_model.py", "from skvae.balance._base import pool"),
    (import_violations, "balance/_base.py", "from skvae.model._module import Module"),
    (import_violations, "balance/_base.py", "from skvae.balance._linear import Linear"),
    (import_violations, "balance/_linear.py", "from skvae.balance import Constant"),
    (import_violations, "networks/_mlp.py", "from skvae.model._spec import ModelSpec"),
    (import_violations, "training/_plan.py", "from skvae.fitted._inference import M"),
    (import_violations, "training/_plan.py", "from skvae.networks._mlp import MLP"),
    (import_violations, "training/_plan.py", "from skvae.training import train"),
    (import_violations, "path/_path.py", "from skvae.metrics import latent_report"),
    (import_violations, "export/_torch.py", "from skvae.training import Plan"),
    (import_violations, "export/_torch.py", "from skvae.displays._axes import x"),
    (import_violations, "fitted/_fitted.py", "from skvae.export import to_torch"),
    (import_violations, "_vae.py", "import skvae"),
    (import_violations, "__main__.py", "from skvae.fit._fit import Fit"),
    (import_violations, "_vae.py", "from skvae.training import train"),
    (
        import_violations,
        "_sklearn_compat.py",
        "from skvae.data._columns import Columns",
    ),
    (import_violations, "_new.py", "import numpy"),
    # Sideways.
    (import_violations, "balance/_linear.py", "from ..networks import MLP"),
    (import_violations, "balance/_linear.py", "import skvae.likelihoods._base"),
    (import_violations, "likelihoods/_base.py", "from skvae.balance._base import pool"),
    (
        import_violations,
        "priors/_base.py",
        "from skvae.divergences._posterior import Posterior",
    ),
    # Private to scikit-learn, and scikit-learn where it has no place.
    (import_violations, "_vae.py", "from sklearn.base import _fit_context"),
    (import_violations, "_vae.py", "from sklearn.utils._set_output import get_output"),
    (import_violations, "_vae.py", "def f():\n    import sklearn.utils._tags"),
    (import_violations, "training/_state.py", "from sklearn.base import clone"),
    # Members of a family, asked for outside of it.
    (isinstance_violations, "model/_spec.py", "isinstance(policy, Geco)"),
    (isinstance_violations, "fitted/_collapse.py", "isinstance(d, KL | MonteCarloKL)"),
    (isinstance_violations, "fit/_fit.py", "issubclass(kind, (str, Gaussian))"),
    (isinstance_violations, "balance/_linear.py", "isinstance(network, MLP)"),
    (isinstance_violations, "fit/_fit.py", "isinstance(prior, Normal)"),
    # Loops.
    (loop_violations, "_vae.py", "for epoch in range(3):\n    pass"),
    (loop_violations, "_vae.py", "def f(n_epochs):\n    [i for i in range(n_epochs)]"),
    (loop_violations, "fit/_fit.py", "for step in range(self.max_iter):\n    pass"),
    (loop_violations, "balance/_linear.py", "while epoch < 3:\n    pass"),
    # Torch.
    (torch_violations, "model/_module.py", "torch.cuda.graphs.graph()"),
    (torch_violations, "model/_module.py", "torch.cuda.CUDAGraph()"),
    (torch_violations, "_vae.py", "import torch.distributed as dist"),
    (torch_violations, "_vae.py", "from torch import distributed"),
    (torch_violations, "fitted/_inference.py", "from torch.cuda import graphs"),
    (torch_violations, "training/_optimizer.py", "torch._fused_adamw_([])"),
    (torch_violations, "networks/_mlp.py", "torch.ops.aten.silu_backward(x)"),
    # Weight.
    (lightness_violations, "_vae.py", "import torch"),
    (lightness_violations, "_vae.py", "import skvae.training"),
    (lightness_violations, "data/_columns.py", "import pandas as pd"),
    (
        lightness_violations,
        "balance/_base.py",
        "try:\n    from torch import nn\nfinally: 0",
    ),
    (lightness_violations, "networks/_mlp.py", "class A:\n    import torch.nn"),
    # Length.
    (length_violations, "data/_canonical.py", "#\n" * MAX_LINES),
    (root_violations, "_utils.py", "import numpy"),
]


@functools.cache
def as_it_stands(rule):
    return set(rule(modules()))


@pytest.mark.parametrize("rule", RULES)
def test_rule_can_be_broken(rule):
    for broken_rule, file, code in BREACHES:
        if broken_rule is not rule:
            continue
        broken = set(rule(modules(file, code))) - as_it_stands(rule)
        assert broken, f"{rule.__name__} misses {code!r} in {file}"
        # The module at fault; a breach that loads torch may do so through another one,
        # and a circle has no first one.
        named = {message.split(":")[0] for message in broken}
        assert named == {name_of(file)} or rule in {
            circle_violations,
            lightness_violations,
            root_violations,
        }


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("_vae.py", "def f():\n    import torch"),
        ("_vae.py", "from sklearn.utils import check_array"),
        ("balance/_linear.py", "if TYPE_CHECKING:\n    import torch"),
        ("balance/_linear.py", "from . import _base"),
        ("balance/_linear.py", "isinstance(policy, (Wrapper, BalancePolicy))"),
        ("training/_train.py", "for epoch in range(3):\n    pass"),
        ("training/_train.py", "torch.cuda.graphs.graph()"),
    ],
)
def test_rules_let_good_code_pass(file, code):
    assert [message for rule in RULES for message in rule(modules(file, code))] == []
