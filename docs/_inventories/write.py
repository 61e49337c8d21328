"""Write the inventories of other projects: the names that pages and docstrings link to.

The inventory that a project publishes would have to be fetched at each build, and a
build must give the same result with and without a network. To link to another name, add
it here and run ``python docs/_inventories/write.py``. A name that cannot be imported is
an error.
"""

import pkgutil
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent

# Of each project: where most names are, where others are, and all names by their role.
# "$" stands for a name.
PROJECTS = {
    "joblib": (
        "generated/$.html#$",
        {},
        {"class": ["joblib.Parallel", "joblib.parallel_config"]},
    ),
    "numpy": (
        "reference/generated/$.html#$",
        {"numpy.random.RandomState": "reference/random/legacy.html#$"},
        {"class": ["numpy.ndarray", "numpy.random.RandomState"]},
    ),
    "pandas": (
        "reference/api/$.html#$",
        {},
        {
            "class": [
                "pandas.Categorical",
                "pandas.CategoricalDtype",
                "pandas.DataFrame",
                "pandas.Series",
            ],
            "function": ["pandas.read_csv"],
        },
    ),
    "sklearn": (
        "modules/generated/$.html#$",
        {},
        {
            "class": [
                "sklearn.compose.ColumnTransformer",
                "sklearn.decomposition.FactorAnalysis",
                "sklearn.decomposition.PCA",
                "sklearn.ensemble.IsolationForest",
                "sklearn.linear_model.LassoCV",
                "sklearn.mixture.GaussianMixture",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.KFold",
                "sklearn.pipeline.Pipeline",
                "sklearn.preprocessing.StandardScaler",
            ],
            "function": ["sklearn.pipeline.make_pipeline"],
        },
    ),
    "torch": (
        "generated/$.html#$",
        {"torch.Tensor": "tensors.html#$"},
        {"class": ["torch.Tensor", "torch.nn.Module"]},
    ),
}


def inventory(project):
    """Bytes of an inventory, in version 2 of Sphinx's format."""
    usual, others, names_by_role = PROJECTS[project]
    lines = [
        f"{name} py:{role} 1 {others.get(name, usual).replace('$', name)} -"
        for role, names in names_by_role.items()
        for name in names
    ]
    header = (
        "# Sphinx inventory version 2\n"
        f"# Project: {project}\n"
        "# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    text = "".join(f"{line}\n" for line in sorted(lines))
    return header.encode() + zlib.compress(text.encode(), 9)


def main():
    for project, (_, _, names_by_role) in PROJECTS.items():
        for names in names_by_role.values():
            for name in names:
                pkgutil.resolve_name(name)
        (FOLDER / f"{project}.inv").write_bytes(inventory(project))


if __name__ == "__main__":
    main()
