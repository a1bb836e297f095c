"""MNIST and the IDX reader: the files in the checkout, every way a file can be wrong, where files are looked for."""

import gzip
import hashlib
import re
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symgrad.errors import FormatError
from symgrad.train import datasets
from symgrad.train.datasets import MNIST_CHECKOUT, MNIST_SHA256, mnist, read_idx

FIRST_TEST_LABELS = [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def idx(code: int, shape: tuple[int, ...], data: bytes) -> bytes:
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


def written(directory: Path, data: bytes, name: str = "file") -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def small_mnist(directory: Path, label: int = 3) -> Path:
    """Write a data set of two images a split, recognisable by its label."""
    directory.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        written(directory, idx(0x08, (2, 28, 28), bytes(2 * 784)), f"{part}-images-idx3-ubyte")
        written(directory, gzip.compress(idx(0x08, (2,), bytes([label] * 2))), f"{part}-labels-idx1-ubyte.gz")
    return directory


def label_of(data: object) -> int:
    (_, labels), _ = data
    return int(labels[0])


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Nothing in the environment or the checkout, an empty cache, and mirrors that are empty directories here."""
    mirrors = [tmp_path / "mirror_1", tmp_path / "mirror_2"]
    for mirror in mirrors:
        mirror.mkdir()
    monkeypatch.delenv("SYMGRAD_DATA", raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "MNIST_CHECKOUT", tmp_path / "no_checkout")
    monkeypatch.setattr(datasets, "MNIST_MIRRORS", tuple(f"{mirror.as_uri()}/" for mirror in mirrors))
    return mirrors


# ---- the files in the checkout


@pytest.mark.parametrize("name", MNIST_SHA256)
def test_the_checkout_holds_the_original_files(name):
    packed = (MNIST_CHECKOUT / f"{name}.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == MNIST_SHA256[name]
    assert packed[4:8] == bytes(4), "compressed with a time stamp: the file would change with each packing"
    assert MNIST_SHA256[name] in (MNIST_CHECKOUT / "README.md").read_text()


def test_mnist_is_what_everyone_knows(monkeypatch):
    monkeypatch.delenv("SYMGRAD_DATA", raising=False)
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    assert (x_train.shape, y_train.shape) == ((60000, 28, 28), (60000,))
    assert (x_test.shape, y_test.shape) == ((10000, 28, 28), (10000,))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}
    assert y_test[:10].tolist() == FIRST_TEST_LABELS
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert round(float(x_train.mean()), 4) == 33.3184
    assert all(array.flags.writeable and array.flags.c_contiguous for array in (x_train, y_train, x_test, y_test))


# ---- the IDX reader


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("code", datasets.IDX_DTYPES)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (3, 1, 2), (0,), (0, 28, 28)], ids=str)
def test_every_type_and_rank_is_read(tmp_path, code, shape, pack):
    dtype = np.dtype(datasets.IDX_DTYPES[code])
    expected = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    array = read_idx(written(tmp_path, pack(idx(code, shape, expected.tobytes()))))
    np.testing.assert_array_equal(array, expected)
    assert array.shape == shape
    assert array.dtype == dtype.newbyteorder("=")
    assert array.dtype.isnative
    assert array.flags.writeable


GOOD = idx(0x08, (2, 3), bytes(range(6)))
HUGE = 2**32 - 1
REFUSED = {
    "empty file": (b"", "not an IDX file; it begins with bytes (none)"),
    "short magic": (GOOD[:3], "not an IDX file; it begins with bytes 00 00 08"),
    "another format": (b"\x89PNG\r\n\x1a\n" + GOOD, "not an IDX file; it begins with bytes 89 50 4e 47"),
    "unknown type": (idx(0x0A, (2,), b"ab"), "not an IDX file; it begins with bytes 00 00 0a 01"),
    "rank 0": (idx(0x08, (), b"a"), "not an IDX file; it begins with bytes 00 00 08 00"),
    "rank 255": (idx(0x08, (1,) * 255, b"a"), "not an IDX file; it begins with bytes 00 00 08 ff"),
    "short header": (GOOD[:9], "truncated IDX header; 5 of 8 bytes"),
    "short data": (GOOD[:-1], "announces shape (2, 3), 6 bytes; 5 bytes"),
    "trailing byte": (GOOD + b"x", "bytes left over"),
    "too large": (idx(0x0E, (HUGE, HUGE), bytes(8)), f"it announces shape ({HUGE}, {HUGE})"),
    "empty, yet too large": (idx(0x08, (0, HUGE, HUGE, HUGE), b""), f"it announces shape (0, {HUGE}"),
    "short data, gzip": (gzip.compress(GOOD[:-1]), "announces shape (2, 3), 6 bytes; 5 bytes"),
    "too large, gzip": (gzip.compress(idx(0x08, (HUGE,), bytes(8))), f"it announces shape ({HUGE},), {HUGE} bytes"),
    "trailing byte, gzip": (gzip.compress(GOOD + b"x"), "bytes left over"),
    "trailing megabytes, gzip": (gzip.compress(GOOD + bytes(1 << 24)), "bytes left over"),
    "bytes after the gzip stream": (gzip.compress(GOOD) + b"x", "bytes left over"),
    "truncated gzip header": (gzip.compress(GOOD)[:6], "not an IDX file; it begins with bytes (none)"),
    "truncated gzip checksum": (gzip.compress(GOOD)[:-1], "truncated gzip data"),
    "wrong gzip checksum": (gzip.compress(GOOD)[:-5] + b"\xff" + gzip.compress(GOOD)[-4:], "corrupt gzip data"),
    "wrong gzip stream": (gzip.compress(GOOD)[:10] + b"\xff" * 20, "corrupt gzip data"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_by_name(tmp_path, case):
    data, reason = REFUSED[case]
    path = written(tmp_path, data)
    with pytest.raises(FormatError, match=re.escape(reason)) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("case", ["too large", "too large, gzip", "trailing megabytes, gzip"])
def test_a_lying_header_costs_no_memory(tmp_path, case):
    path = written(tmp_path, REFUSED[case][0])
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.data())
def test_damage_is_refused_or_harmless(tmp_path_factory, data):
    """Whatever byte of a compressed file is changed or cut, the result is the same array or a FormatError."""
    packed = bytearray(gzip.compress(GOOD, mtime=0))
    position = data.draw(st.integers(0, len(packed) - 1))
    if data.draw(st.booleans()):
        packed[position] ^= data.draw(st.integers(1, 255))
    else:
        del packed[position:]
    path = written(tmp_path_factory.getbasetemp(), bytes(packed), "damaged")
    try:
        array = read_idx(path)
    except FormatError:
        return
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_missing_file_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "absent")


# ---- where MNIST is looked for


def test_the_search_order(tmp_path, monkeypatch, nowhere):
    monkeypatch.setattr(datasets, "MNIST_CHECKOUT", small_mnist(tmp_path / "checkout", label=1))
    assert label_of(mnist()) == 1
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("SYMGRAD_DATA", str(root))
    assert label_of(mnist()) == 1, "a data directory without MNIST is passed over"
    small_mnist(root, label=2)
    assert label_of(mnist()) == 2
    small_mnist(root / "mnist", label=3)
    assert label_of(mnist()) == 3
    assert label_of(mnist(small_mnist(tmp_path / "explicit", label=4))) == 4
    assert label_of(mnist.load_data(str(tmp_path / "explicit"))) == 4


def test_an_incomplete_directory_is_not_passed_over(tmp_path, monkeypatch, nowhere):
    monkeypatch.setattr(datasets, "MNIST_CHECKOUT", small_mnist(tmp_path / "checkout"))
    incomplete = small_mnist(tmp_path / "data")
    (incomplete / "t10k-images-idx3-ubyte").unlink()
    monkeypatch.setenv("SYMGRAD_DATA", str(incomplete))
    for read in (mnist, lambda: mnist(incomplete), lambda: mnist(tmp_path / "absent")):
        with pytest.raises(FileNotFoundError, match="idx3-ubyte"):
            read()
    monkeypatch.setenv("SYMGRAD_DATA", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match="SYMGRAD_DATA names no directory"):
        mnist()


def test_files_that_do_not_belong_together_are_refused(tmp_path, nowhere):
    directory = small_mnist(tmp_path / "data")
    written(directory, idx(0x08, (3,), bytes(3)), "train-labels-idx1-ubyte")
    with pytest.raises(FormatError, match="2 images, 3 labels"):
        mnist(directory)
    written(directory, idx(0x08, (2, 1), bytes(2)), "train-labels-idx1-ubyte")
    with pytest.raises(FormatError, match="not train-labels-idx1-ubyte; rank 2, uint8"):
        mnist(directory)
    written(directory, idx(0x09, (2,), bytes(2)), "train-labels-idx1-ubyte")
    with pytest.raises(FormatError, match="rank 1, int8"):
        mnist(directory)


def test_the_cache_is_filled_from_the_first_good_mirror(tmp_path, monkeypatch, nowhere):
    wrong, right = nowhere
    for name in MNIST_SHA256:
        shutil.copy(MNIST_CHECKOUT / f"{name}.gz", right)
    written(wrong, gzip.compress(idx(0x08, (1, 28, 28), bytes(784))), "train-images-idx3-ubyte.gz")
    written(wrong, b"<html>404</html>", "train-labels-idx1-ubyte.gz")
    (_, _), (_, labels) = mnist()
    assert labels[:10].tolist() == FIRST_TEST_LABELS
    cache = tmp_path / "cache" / "symgrad" / "mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in MNIST_SHA256)

    monkeypatch.setattr(datasets, "MNIST_MIRRORS", ())
    (_, _), (_, labels) = mnist()
    assert labels[:10].tolist() == FIRST_TEST_LABELS

    small_mnist(cache)
    with pytest.raises(FormatError, match="train-images-idx3-ubyte: not the original file; SHA-256 .* Delete it"):
        mnist()


def test_when_no_mirror_answers_the_error_says_what_to_do(tmp_path, nowhere):
    written(nowhere[0], b"<html>moved</html>", "train-images-idx3-ubyte.gz")
    with pytest.raises(FileNotFoundError, match="no mirror gave train-images.*not an IDX file.*SYMGRAD_DATA"):
        mnist()
    assert list((tmp_path / "cache" / "symgrad" / "mnist").iterdir()) == []


def test_the_public_mirrors_are_https():
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in datasets.MNIST_MIRRORS)
