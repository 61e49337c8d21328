import json
import re

import numpy as np
import pytest

from skvae.callbacks._file import read, remove_temporary, write
from skvae.ground._version import __version__

CONTENTS = {"seed": 3, "text": "é\n"}
ARRAYS = {
    "empty": np.zeros((0, 3)),
    "number": np.array(2.5),
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bytes": np.arange(256, dtype=np.uint8),
    "truth": np.array([True, False]),
    "nan": np.array([np.nan, np.inf]),
}


def assert_read(path):
    contents, arrays = read(path)
    assert contents == CONTENTS
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    write(path, CONTENTS, ARRAYS)
    return path


def test_what_is_written_is_read(path):
    assert_read(path)
    assert read(path.with_name("other")) is None
    write(path, {}, {})
    assert read(path) == ({}, {})


def test_a_byte_that_has_changed_is_noticed(path):
    content = path.read_bytes()
    stamp = json.dumps(__version__).encode()
    start = content.index(stamp) + 1
    version = range(start, start + len(stamp) - 2)
    for i in range(len(content)):
        changed = bytearray(content)
        changed[i] ^= 1
        path.write_bytes(changed)
        if i in version:
            # It is only for the message about another format.
            continue
        with pytest.raises(ValueError, match=re.escape(str(path))):
            read(path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"hello", b"[]\n", b"{}", b"\x93NUMPY\x01\x00", b"\xff\n"),
        pytest.param(b"[" * 10**6, id="deep"),
    ],
)
def test_other_files_are_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged, or is no checkpoint of skvae"):
        read(path)


def test_another_format_names_the_version_that_reads_it(path):
    first, numbers = path.read_bytes().split(b"\n", 1)
    seal = {**json.loads(first), "format": 7, "version": "5.0"}
    path.write_bytes(json.dumps(seal).encode() + b"\n" + numbers)
    match = r"written by skvae 5\.0 in format 7, and skvae .* reads format 1\. Go on"
    with pytest.raises(ValueError, match=match):
        read(path)


def test_objects_of_python_are_not_read(path):
    write(path, {}, {"objects": np.array([None, {}], dtype=object)})
    with pytest.raises(ValueError, match="OBJECT"):
        read(path)


@pytest.mark.parametrize("action", ["pathlib.Path.open", "os.fsync", "os.replace"])
def test_interruption_leaves_the_file_before(action, path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(action, interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(path, {}, {})
    assert_read(path)
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_several_processes_may_write_a_file(path, monkeypatch):
    def write_between(number):
        monkeypatch.undo()
        write(path, CONTENTS, ARRAYS)

    monkeypatch.setattr("skvae.callbacks._file.os.fsync", write_between)
    write(path, CONTENTS, ARRAYS)
    assert_read(path)
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_temporary_files_of_killed_processes_are_removed(path):
    path = path.with_name("[1] file")
    # Of another training, and of the user.
    names = "other.0123abcd.tmp", "[1] file.notes.tmp", "[1] file.2.0123abcd.tmp"
    others = {path.with_name(name) for name in names}
    left = path.with_name("[1] file.0123abcd.tmp")
    for each in (left, *others):
        each.write_bytes(b"half")
    write(path, CONTENTS, ARRAYS)
    remove_temporary(path)
    assert_read(path)
    assert set(path.parent.iterdir()) >= {path, *others}
    assert not left.exists()
