"""Compiled code on disk: what is found is right or not found, whoever writes beside us, whatever has been damaged."""

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import symgrad as sg
from codegen import jit, objects, store
from codegen.machine import host
from codegen.store import DIGEST, MAGIC, Store, default_directory, key_of, open_store

ROOT = Path(__file__).resolve().parents[1]
KEY, OTHER = key_of("a kernel", "a machine"), key_of("another")
VALUE = bytes(range(256)) * 4
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners and permissions of files")


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    found = Store(tmp_path / "cache")
    found.put(KEY, VALUE)
    return found


def test_what_is_put_is_found_by_every_process(kept: Store) -> None:
    again = Store(kept.directory)
    assert again.get(KEY) == VALUE
    assert again.get(OTHER) is None
    again.put(KEY, b"")
    assert kept.get(KEY) == b""
    assert [p.name for p in kept.directory.iterdir()] == [KEY]


def test_parts_of_a_key_are_told_apart() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("ab", "c", "")}) == 4
    with pytest.raises(ValueError, match="is no key"):
        Store(Path("/")).get("../other")


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-1],
    "cut in the checksum": lambda data: data[: len(MAGIC) + DIGEST - 1],
    "longer": lambda data: data + b"\0",
    "another format": lambda data: b"symgrad0" + data[len(MAGIC) :],
    "a bit of the value": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "a bit of the checksum": lambda data: data[:9] + bytes([data[9] ^ 128]) + data[10:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_none_and_can_be_put_anew(damage: str, kept: Store) -> None:
    path = kept.directory / KEY
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert kept.get(KEY) is None
    kept.put(KEY, VALUE)
    assert kept.get(KEY) == VALUE


def test_an_entry_under_another_key_is_none(kept: Store) -> None:
    (kept.directory / KEY).rename(kept.directory / OTHER)
    assert kept.get(OTHER) is None


def test_ten_thousand_damaged_entries_are_ten_thousand_misses(kept: Store) -> None:
    data = (kept.directory / KEY).read_bytes()
    keys = [key_of(str(number)) for number in range(10_000)]
    for number, key in enumerate(keys):
        (kept.directory / key).write_bytes(data[: number % len(data)])
    assert all(kept.get(key) is None for key in keys)
    assert kept.get(KEY) == VALUE


@posix
def test_entries_and_directory_are_for_the_user_alone(kept: Store) -> None:
    assert kept.directory.stat().st_mode & 0o777 == 0o700
    assert (kept.directory / KEY).stat().st_mode & 0o777 == 0o600


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_an_entry_that_others_may_write_is_none(mode: int, kept: Store) -> None:
    (kept.directory / KEY).chmod(mode)
    assert kept.get(KEY) is None


@posix
def test_an_entry_that_is_a_link_a_pipe_or_a_folder_is_none(kept: Store) -> None:
    path = kept.directory / KEY
    path.rename(kept.directory / OTHER)
    path.symlink_to(kept.directory / OTHER)
    assert kept.get(KEY) is None
    path.unlink()
    path.mkdir()
    assert kept.get(KEY) is None
    kept.put(KEY, VALUE)
    assert sorted(p.name for p in kept.directory.iterdir()) == sorted([KEY, OTHER])


def test_the_oldest_entries_go_where_all_are_too_large(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"{number:02x}" + KEY[2:] for number in range(1, 9)]
    for number, key in enumerate(keys):
        kept.put(key, VALUE)
        os.utime(kept.directory / key, (number, number))
    one = (kept.directory / KEY).stat().st_size
    monkeypatch.setattr(store, "MOST_BYTES", 4 * one + 1)
    kept.put("00" + KEY[2:], VALUE)
    assert sorted(p.name for p in kept.directory.iterdir()) == sorted(["00" + KEY[2:], KEY, keys[7], keys[6]])


def test_a_full_disk_stores_nothing(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    kept.put(OTHER, VALUE)
    monkeypatch.undo()
    assert [p.name for p in kept.directory.iterdir()] == [KEY]
    assert kept.get(OTHER) is None


# -- the directory -----------------------------------------------------------------------------------------------------


def refused(directory: Path, why: str) -> None:
    with pytest.warns(RuntimeWarning, match=f"keeps no compiled code: .*{why}.*SYMGRAD_CACHE") as caught:
        assert open_store({"SYMGRAD_CACHE": str(directory)}) is None
    assert len(caught) == 1


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_a_directory_that_others_may_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(mode)
    refused(directory, "others own .*, or may write to it")


@posix
def test_a_directory_of_another_user_is_refused(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    refused(kept.directory, "others own")
    assert kept.get(KEY) is None


def test_a_link_or_a_file_in_its_place_is_refused(kept: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(kept.directory)
    (tmp_path / "file").write_text("")
    refused(tmp_path / "link", "is no directory")
    refused(tmp_path / "file", "is no directory")
    refused(tmp_path / "file" / "below", "")


def test_a_place_for_caches_that_cannot_be_written_to_is_no_news(tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("")
    (tmp_path / "Library").write_text("")
    assert open_store({"HOME": str(tmp_path)}) is None


def test_where_the_store_is(tmp_path: Path) -> None:
    assert open_store({"SYMGRAD_CACHE": "off", "HOME": str(tmp_path)}) is None
    assert open_store({}) is None
    told = open_store({"SYMGRAD_CACHE": str(tmp_path / "a" / "b")})
    assert told is not None
    assert told.directory == tmp_path / "a" / "b"
    usual = open_store({"HOME": str(tmp_path)})
    assert usual is not None
    assert usual.directory.parent == (tmp_path / ("Library/Caches" if sys.platform == "darwin" else ".cache"))


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.cache/symgrad"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "/fast"}, "/fast/symgrad"),
        ("linux", {"HOME": "/home/ada", "XDG_CACHE_HOME": "not/absolute"}, "/home/ada/.cache/symgrad"),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Caches/symgrad"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/symgrad"),
        ("linux", {"HOME": "not/absolute"}, None),
        ("linux", {}, None),
    ],
)
@posix
def test_the_systems_place_for_caches(platform: str, environ: dict[str, str], expected: str | None) -> None:
    found = default_directory(environ, platform)
    assert (None if found is None else found.as_posix()) == expected


# -- objects -----------------------------------------------------------------------------------------------------------


def compiled(number: int) -> bytes:
    x = sg.symbol("x", (sg.dim("N"),))
    return sg.function([x], sg.exp(x) + number)(np.arange(3.0)).tobytes()


@pytest.fixture
def stored(kept: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(objects, "user_store", lambda: kept)
    monkeypatch.setattr(objects, "_objects", {})
    return kept


def test_what_one_process_compiled_the_next_one_finds(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    want = compiled(1)
    assert len(list(stored.directory.iterdir())) >= 2  # what was put by hand, the kernel, and maybe the driver
    asked: list[str] = []
    monkeypatch.setattr(objects, "_objects", {})
    monkeypatch.setattr(objects, "emit", lambda kernel, _: asked.append(kernel.name))
    assert compiled(1) == want
    assert asked == []


def test_objects_are_remembered_up_to_a_size(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sg.symbol("x", (4,))
    (kernel,) = sg.function([x], x + 1).subject.compiled.kernels.values()
    first = objects.object_of(kernel, host())
    assert objects.object_of(kernel, host()) is first
    monkeypatch.setattr(objects, "KEPT", 1)
    sg.function([x], x + 2)
    assert len(objects._objects) == 1
    assert objects.object_of(kernel, host()) == first


def test_everything_that_code_depends_on_is_in_its_key(stored: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> set[str]:
        monkeypatch.setattr(objects, "_objects", {})
        compiled(1)
        return set(objects._objects)

    found = keys()
    for name, other in (("LLVM_VERSION", "0"), ("OPTIMIZATION", 1), ("sources", lambda: "other")):
        with monkeypatch.context() as patch:
            patch.setattr(objects, name, other)
            more = keys()
        assert found.isdisjoint(more)
        found |= more
    assert keys() <= found


def test_sources_that_are_newer_than_the_process_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    objects.sources.cache_clear()
    monkeypatch.setattr(objects, "STARTED", max(p.stat().st_mtime for p in (ROOT / "codegen").glob("*.py")))
    assert objects.sources() == ""
    objects.user_store.cache_clear()
    assert objects.user_store() is None
    objects.sources.cache_clear()
    objects.user_store.cache_clear()


# Files that have just been checked out would be too new to be trusted: the process pretends to have started later.
SCRIPT = """
import sys, numpy as np
from symgrad import started
started.STARTED += 10
import symgrad as sg
from codegen import jit
if sys.argv[1] == "warm":
    jit.compile_ir = None
    from codegen import objects
    objects.compile_ir = None
N = sg.dim("N")
x, w = sg.symbol("x", (N, 3)), sg.parameter("w", (3,), init="ones")
loss = sg.tanh(x @ w).sum()
step = sg.function([x], loss, updates={w: w - sg.grad(loss, w) / 8}, threads=2)
for _ in range(3):
    value = step(np.arange(12.0).reshape(4, 3) / 12)
print(value.tobytes().hex(), w.value.tobytes().hex())
assert sys.argv[1] == "cold" or "codegen.pipeline" not in sys.modules  # the program is found whole
"""


def script(directory: Path, kind: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "SYMGRAD_CACHE": str(directory)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind], cwd=ROOT, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_sixteen_processes_write_at_once(tmp_path: Path) -> None:
    started = [script(tmp_path / "cache", "cold") for _ in range(16)]
    results = {ended(process) for process in started}
    assert len(results) == 1
    entries = list((tmp_path / "cache").iterdir())
    assert not [p for p in entries if p.name.startswith(".")]
    assert {ended(script(tmp_path / "cache", "warm"))} == results
    assert sorted((tmp_path / "cache").iterdir()) == sorted(entries)


def test_threads_that_compile_the_same_agree(stored: Store) -> None:
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(compiled(7))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1


def test_a_refused_directory_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SYMGRAD_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(objects, "sources", lambda: "known")
    objects.user_store.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert compiled(1) != compiled(2)
    assert [w.category for w in caught] == [RuntimeWarning]
    objects.user_store.cache_clear()


def test_jit_itself_keeps_nothing() -> None:
    text = "define void @f(ptr %a, ptr %b, i64 %lo, i64 %hi, ptr %s) {\n  ret void\n}\n"
    assert jit.compile_ir(text, host()) is not jit.compile_ir(text, host())
