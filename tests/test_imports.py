"""The architecture, read from the imports: who may know whom."""

import ast
import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "skvae"
FAMILIES = ("balance", "divergences", "likelihoods", "networks")
MAX_LINES = 400
# Most of it are docstrings.
LONGER_FILES = {"skvae._vae", "skvae.likelihoods._base"}


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


def modules_of(root):
    """Syntax tree of each module by its dotted name; a package has its own name."""
    trees = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = path, ast.parse(path.read_text(encoding="utf-8"))
    return trees


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

    return list(visit(tree, True, False))


# Who may import whom, from the bottom to the top.
FAMILY_KINDS = ("base", "member", "family")
MAY_IMPORT = {
    "compat": (),
    "leaf": ("compat",),
    "theory": ("theory",),
    "base": ("compat", "theory", "base"),
    "member": ("compat", "theory", "base", "member"),
    "family": ("base", "member"),
    "module": ("theory", "base"),
    "training": ("theory", "base", "module", "training"),
    "inference": ("base", "module", "training", "leaf"),
    "start": ("theory",),
    "mixture": ("compat", "leaf", "family"),
    "parts": ("compat", "leaf", "family", "module", "mixture"),
    "training_rows": ("leaf", "theory", "family", "training"),
    "null_model": ("leaf", "family", "parts", "inference"),
    "imputation": ("inference", "module", "training"),
    "planning": ("base", "training"),
    "attributes": ("leaf", "parts", "training"),
    "fitting": (
        *("leaf", "theory", "start", "base", "parts", "planning", "training"),
        *("attributes", "training_rows", "null_model"),
    ),
    "collapse": ("compat", "leaf", "theory", "family", "parts"),
    "estimator": (
        *("compat", "leaf", "family", "parts", "fitting", "collapse"),
        *("inference", "imputation", "mixture"),
    ),
    "path": (
        *("compat", "leaf", "theory", "family", "training_rows", "tools"),
        *("estimator", "path"),
    ),
    "cv": ("compat", "leaf", "estimator", "path", "cv"),
    "tools": ("compat", "leaf", "theory", "base", "family", "collapse", "tools"),
    "displays": (
        "compat",
        "leaf",
        "theory",
        "tools",
        "estimator",
        "path",
        "cv",
        "displays",
    ),
    "package": ("estimator", "path", "cv"),
}
KINDS = {
    "_sklearn_compat": "compat",
    "_sklearn_scorer": "compat",
    "_optional": "leaf",
    "_candidates": "leaf",
    "exceptions": "leaf",
    "_collapse": "collapse",
    "_cv_results": "leaf",
    "_cv_routing": "cv",
    "_linear_columns": "theory",
    "_linear_model": "theory",
    "_positions": "theory",
    "_rows": "leaf",
    "_columns": "leaf",
    "_history": "leaf",
    "_pipeline": "leaf",
    "_mixture": "mixture",
    "_training_rows": "training_rows",
    "_null_model": "null_model",
    "_imputation": "imputation",
    "_table": "leaf",
    "_module": "module",
    "training": "training",
    "_inference": "inference",
    "_parts": "parts",
    "_planning": "planning",
    "_attributes": "attributes",
    "_fitting": "fitting",
    "_report": "leaf",
    "_start": "start",
    "_vae": "estimator",
    "_beta_grid": "path",
    "_runs": "path",
    "_path": "path",
    "_vae_cv": "cv",
    "metrics": "tools",
    "model_selection": "tools",
    "displays": "displays",
}


def kind_of(module):
    """What a module is in the table above, and its folder or file in the package."""
    _, *parts = module.split(".")
    if not parts:
        return "package", ""
    if parts[0] not in FAMILIES:
        return KINDS.get(parts[0]), parts[0]
    member = "base" if parts[-1] in {"_base", "_posterior"} else "member"
    return "family" if len(parts) == 1 else member, parts[0]


def import_violations(root=ROOT):
    """Broken rules on who imports whom, as `module:line: message`."""
    modules = modules_of(root)
    for module, (path, tree) in modules.items():
        kind, folder = kind_of(module)
        if kind is None:
            yield f"{module}: is of no kind; name one in KINDS"
            continue
        for found in imports_of(tree, module, path.name == "__init__.py"):
            where = f"{module}:{found.line}"
            package, *_ = found.module.split(".")
            if package == "sklearn":
                is_private = any(part[0] == "_" for part in found.target.split("."))
                if is_private and kind != "compat":
                    yield f"{where}: {found.target} is private to scikit-learn"
                if kind == "training":
                    yield f"{where}: training knows no scikit-learn"
            if package != "skvae":
                continue
            target = found.target if found.target in modules else found.module
            other_kind, other_folder = kind_of(target)
            if f"{module}.".startswith(f"{target}."):
                yield f"{where}: imports {target}, which it is in"
            elif other_kind not in MAY_IMPORT[kind]:
                yield f"{where}: a {kind} imports {target}, a {other_kind}"
            elif {kind, other_kind} <= {*FAMILY_KINDS} and folder != other_folder:
                yield f"{where}: a {kind} of {folder} imports {target}"


def loop_violations(root=ROOT):
    """Loops over epochs outside the training folder."""
    for module, (_, tree) in modules_of(root).items():
        if module.startswith("skvae.training"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
                head = f"{ast.unparse(node.target)} in {ast.unparse(node.iter)}"
            elif isinstance(node, ast.While):
                head = ast.unparse(node.test)
            else:
                continue
            if "epoch" in head or "max_iter" in head:
                yield f"{module}: loops over epochs: {head}"


FOR_TRAINING_ONLY = (
    "torch.cuda.graphs",
    "torch.cuda.graph",
    "torch.cuda.CUDAGraph",
    "torch.cuda.make_graphed_callables",
    "torch.distributed",
)


def torch_violations(root=ROOT):
    """CUDA graphs and distributed training outside the training folder."""
    for module, (path, tree) in modules_of(root).items():
        if module.startswith("skvae.training"):
            continue
        used = [
            (found.line, found.target)
            for found in imports_of(tree, module, path.name == "__init__.py")
        ]
        used += [
            (node.lineno, ast.unparse(node))
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
        ]
        for line, name in used:
            if any(f"{name}.".startswith(f"{part}.") for part in FOR_TRAINING_ONLY):
                yield f"{module}:{line}: {name} belongs into training"


def loaded_by_the_package(root=ROOT):
    """Modules that `import skvae` loads, found by following module-level imports."""
    modules = modules_of(root)
    loaded, waiting = set(), ["skvae"]
    while waiting:
        module = waiting.pop()
        if module in loaded or module not in modules:
            continue
        loaded.add(module)
        path, tree = modules[module]
        for found in imports_of(tree, module, path.name == "__init__.py"):
            if found.at_module_level and not found.for_types:
                parts = found.target.split(".")
                # A module is loaded after the packages that it is in.
                waiting += [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
    return loaded


def lightness_violations(root=ROOT):
    """Module-level imports by which `import skvae` loads torch or what is optional."""
    heavy = {"torch", "pandas", "polars", "matplotlib"}
    modules = modules_of(root)
    for module in sorted(loaded_by_the_package(root)):
        path, tree = modules[module]
        for found in imports_of(tree, module, path.name == "__init__.py"):
            is_heavy = found.module.split(".")[0] in heavy
            if is_heavy and found.at_module_level and not found.for_types:
                yield f"{module}:{found.line}: import skvae loads {found.module}"


def length_violations(root=ROOT):
    """Files that have grown too long."""
    for module, (path, _) in modules_of(root).items():
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        if n_lines >= MAX_LINES and module not in LONGER_FILES:
            yield f"{module}: has {n_lines} lines, at most {MAX_LINES - 1} are allowed"


RULES = [
    import_violations,
    loop_violations,
    torch_violations,
    lightness_violations,
    length_violations,
]


@pytest.mark.parametrize("rule", RULES)
def test_package_keeps_the_rule(rule):
    assert list(rule()) == []


def test_import_of_the_package_is_followed():
    loaded = loaded_by_the_package()
    assert {"skvae._vae", "skvae.balance._linear", "skvae.networks._mlp"} <= loaded
    assert "skvae.training._train" not in loaded


BREACHES = [
    # Upwards.
    (import_violations, "_module.py", "import skvae._vae"),
    (import_violations, "_module.py", "from skvae import training"),
    (import_violations, "_module.py", "from skvae.training import Plan"),
    (import_violations, "_module.py", "from skvae.balance import Constant"),
    (import_violations, "_module.py", "from .networks._mlp import MLP"),
    (import_violations, "_inference.py", "def f():\n    from . import _vae"),
    (import_violations, "_rows.py", "from skvae.data._scaling import Table"),
    (import_violations, "balance/_base.py", "from skvae.model._module import Module"),
    (import_violations, "balance/_base.py", "from skvae.balance._linear import Linear"),
    (import_violations, "balance/_linear.py", "from skvae.balance import Constant"),
    (import_violations, "networks/_mlp.py", "from skvae.data._scaling import Table"),
    (
        import_violations,
        "training/_flat.py",
        "from skvae.fitted._inference import Model",
    ),
    (import_violations, "training/_flat.py", "from skvae.networks._mlp import MLP"),
    (import_violations, "training/_flat.py", "from skvae.training import train"),
    (import_violations, "_vae.py", "import skvae"),
    (
        import_violations,
        "_sklearn_compat.py",
        "from skvae.data._canonical import canonical_rows",
    ),
    (import_violations, "_new.py", "import numpy"),
    # Sideways.
    (import_violations, "balance/_linear.py", "from ..networks import MLP"),
    (import_violations, "balance/_linear.py", "import skvae.likelihoods._base"),
    (import_violations, "likelihoods/_base.py", "from skvae.balance._base import pool"),
    # Private to scikit-learn, and scikit-learn where nobody should know it.
    (import_violations, "_vae.py", "from sklearn.base import _fit_context"),
    (import_violations, "_vae.py", "from sklearn.utils._set_output import get_output"),
    (import_violations, "_vae.py", "def f():\n    import sklearn.utils._tags"),
    (import_violations, "training/_state.py", "from sklearn.base import clone"),
    # Loops.
    (loop_violations, "_vae.py", "for epoch in range(3):\n    pass"),
    (loop_violations, "_vae.py", "def f(n_epochs):\n    [i for i in range(n_epochs)]"),
    (loop_violations, "_module.py", "for step in range(self.max_iter):\n    pass"),
    (loop_violations, "balance/_linear.py", "while epoch < 3:\n    pass"),
    # Torch.
    (torch_violations, "_module.py", "torch.cuda.graphs.graph()"),
    (torch_violations, "_module.py", "torch.cuda.CUDAGraph()"),
    (torch_violations, "_vae.py", "import torch.distributed as dist"),
    (torch_violations, "_vae.py", "from torch import distributed"),
    (torch_violations, "_inference.py", "from torch.cuda import graphs"),
    # Weight.
    (lightness_violations, "_vae.py", "import torch"),
    (lightness_violations, "_vae.py", "import skvae.training"),
    (lightness_violations, "_table.py", "import pandas as pd"),
    (
        lightness_violations,
        "balance/_base.py",
        "try:\n    from torch import nn\nfinally: 0",
    ),
    (lightness_violations, "networks/_mlp.py", "class A:\n    import torch.nn"),
    # Length.
    (length_violations, "_rows.py", "#\n" * MAX_LINES),
]


@functools.cache
def as_it_stands(rule):
    return set(rule())


@pytest.mark.parametrize(("rule", "file", "code"), BREACHES)
def test_rule_can_be_broken(rule, file, code, tmp_path):
    copy = shutil.copytree(ROOT, tmp_path / "skvae")
    with (copy / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{code}\n")
    broken = set(rule(copy)) - as_it_stands(rule)
    module = file.removesuffix(".py").replace("/", ".")
    assert broken, "nobody noticed"
    # Whose fault it is; what loads torch may do so through another module.
    named = {message.split(":")[0] for message in broken}
    assert named == {f"skvae.{module}"} or rule is lightness_violations


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("_vae.py", "def f():\n    import torch"),
        ("_vae.py", "from sklearn.utils import check_array"),
        ("balance/_linear.py", "if TYPE_CHECKING:\n    import torch"),
        ("balance/_linear.py", "from . import _base"),
        ("likelihoods/_gaussian.py", "def f():\n    import torch.distributions"),
        ("training/_train.py", "for epoch in range(3):\n    torch.cuda.graphs"),
        ("_rows.py", "#\n" * 100),
    ],
)
def test_rules_allow_what_is_right(file, code, tmp_path):
    copy = shutil.copytree(ROOT, tmp_path / "skvae")
    with (copy / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{code}\n")
    assert [message for rule in RULES for message in rule(copy)] == []
