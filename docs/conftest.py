"""Code of the pages, run as doctests."""

import pytest


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Let pages write files as a reader would, into the current folder."""
    monkeypatch.chdir(tmp_path)
