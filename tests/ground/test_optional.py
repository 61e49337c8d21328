"""Packages that only a part of the package needs."""

import math
import sys

import pytest

from skvae.ground._optional import import_optional_dependency


def test_installed_module_is_imported():
    assert import_optional_dependency("math", needed_by="A test") is math
    module = import_optional_dependency("importlib.util", needed_by="A test")
    assert module is sys.modules["importlib.util"]


@pytest.mark.parametrize(
    ("name", "package", "wanted"),
    [
        ("matplotlib", "matplotlib", "'skvae[plot]'"),
        ("matplotlib.pyplot", "matplotlib", "'skvae[plot]'"),
        ("pandas", "pandas", "pandas"),
    ],
)
def test_message_names_user_package_and_remedy(monkeypatch, name, package, wanted):
    class NotInstalled:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])
    for loaded in [*sys.modules]:
        if loaded.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, loaded)
    with pytest.raises(ImportError) as caught:
        import_optional_dependency(name, needed_by="HistoryDisplay.plot")
    assert str(caught.value) == (
        f"HistoryDisplay.plot needs {package}, which is not installed. "
        f"Install it with: pip install {wanted}"
    )
    assert caught.value.name == package


def test_broken_installation_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        import_optional_dependency("half_there", needed_by="A test")
