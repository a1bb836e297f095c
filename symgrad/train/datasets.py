"""Data sets: MNIST from IDX files.

In: a directory, or nothing. Out: uint8 arrays as the files hold them, neither scaled nor reshaped. A file that is not
exactly what its header claims is refused, whoever wrote the header: nothing is allocated on its word alone.
Must not know: models, training, expressions.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from symgrad.errors import FormatError

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Split = tuple[Images, Labels]

# The IDX format: two zero bytes, a type code, the rank, one big-endian uint32 per dimension, the elements in C order.
IDX_DTYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_RANK: Final = 32

GZIP_MAGIC: Final = b"\x1f\x8b"
# Deflate codes at most 258 bytes in two bits, so no stream of n bytes unpacks to more than this many times n.
DEFLATE_LIMIT: Final = 1032

# SHA-256 of the uncompressed files.
MNIST_SHA256: Final = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_MIRRORS: tuple[str, ...] = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
MNIST_CHECKOUT = Path(__file__).resolve().parents[2] / "examples" / "data" / "mnist"
MAX_DOWNLOAD: Final = 64 << 20
DOWNLOAD_TIMEOUT: Final = 30.0  # seconds without a byte


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an array from an IDX file, plain or gzip-compressed (told apart by content, not by name).

    The array is fresh, writable and in native byte order; its shape and dtype are the header's. Raises `FormatError`
    for a file that is not IDX, is cut short, has bytes left over, or announces more than it can hold; `OSError` if it
    cannot be read.

    >>> read_idx(MNIST_CHECKOUT / "t10k-labels-idx1-ubyte.gz")[:5]
    array([7, 2, 1, 0, 4], dtype=uint8)
    """
    return _parse(_Source(Path(path)))


class Mnist:
    """The MNIST data set; call it, or its `load_data`, as in Keras.

    >>> (x_train, y_train), (x_test, y_test) = mnist()
    >>> x_train.shape, y_train.shape, x_test.shape, x_train.dtype
    ((60000, 28, 28), (60000,), (10000, 28, 28), dtype('uint8'))
    """

    def __call__(self, path: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
        """Return `(x_train, y_train), (x_test, y_test)`: uint8, images (60000, 28, 28) and (10000, 28, 28).

        The four IDX files, plain or `.gz`, are looked for in `path` if it is given. Otherwise the first of these that
        holds any of them is read: `$SYMGRAD_DATA/mnist`, `$SYMGRAD_DATA`, the checkout, the per-user cache, which is
        filled from a public mirror. Files in the cache must have the SHA-256 of the originals. Raises
        `FileNotFoundError` if a file is missing, `FormatError` if one is damaged.
        """
        directory, trusted = _locate(path)
        if not trusted:
            _fill_cache(directory)
        train, test = (_read_split(directory, part, check_hash=not trusted) for part in ("train", "t10k"))
        return train, test

    load_data = __call__

    def __repr__(self) -> str:
        return "symgrad.datasets.mnist"


mnist: Final = Mnist()


# ---- IDX files


def _refuse(path: Path, what: str, got: str, hint: str) -> NoReturn:
    raise FormatError(f"{path}: {what}", got=got, hint=hint)


@dataclass(slots=True)
class _Source:
    """The bytes of a file, unpacked only as far as asked for: a header can be judged before its claim is believed."""

    path: Path
    raw: bytes = b""
    limit: int = 0  # no more than this many bytes can come out
    _stream: Any = None

    def __post_init__(self) -> None:
        self.raw = self.path.read_bytes()
        self.limit = len(self.raw)
        if self.raw.startswith(GZIP_MAGIC):
            self._stream = zlib.decompressobj(wbits=31)  # a gzip container, its CRC and length checked by zlib
            self.limit *= DEFLATE_LIMIT

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, or fewer at the end."""
        if self._stream is None:
            taken, self.raw = self.raw[:count], self.raw[count:]
            return taken
        if count == 0:  # zlib reads 0 as "no limit"
            return b""
        try:
            data: bytes = self._stream.decompress(self.raw, count)
        except zlib.error as error:
            _refuse(self.path, "corrupt gzip data", str(error), "Fetch the file again.")
        self.raw = self._stream.unconsumed_tail
        return data

    def expect_end(self) -> None:
        """Refuse bytes that are left over, and a compressed stream without its checksum."""
        if self.take(1) or self.raw or (self._stream is not None and self._stream.unused_data):
            _refuse(
                self.path,
                "bytes left over after the last element",
                "more data than the header announces",
                "The header or the file is damaged: fetch it again.",
            )
        if self._stream is not None and not self._stream.eof:
            _refuse(self.path, "truncated gzip data", "no end-of-stream mark", "Fetch the file again.")


def _parse(source: _Source) -> NDArray[Any]:
    path = source.path
    magic = source.take(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_DTYPES or not 1 <= magic[3] <= MAX_RANK:
        _refuse(
            path,
            "not an IDX file",
            f"it begins with bytes {magic.hex(' ') or '(none)'}",
            f"IDX begins with 00 00, a type ({' '.join(f'{code:02x}' for code in IDX_DTYPES)}) "
            f"and a rank from 1 to {MAX_RANK}.",
        )
    dtype, rank = np.dtype(IDX_DTYPES[magic[2]]), magic[3]
    header = source.take(4 * rank)
    if len(header) < 4 * rank:
        _refuse(path, "truncated IDX header", f"{len(header)} of {4 * rank} bytes", "Fetch the file again.")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    count = math.prod(shape) * dtype.itemsize
    if count > source.limit or math.prod(size for size in shape if size) * dtype.itemsize > sys.maxsize:
        _refuse(
            path,
            f"truncated, or the IDX header is wrong: it announces shape {shape}, {count} bytes",
            f"a file of {path.stat().st_size} bytes, which cannot hold them",
            "Fetch the file again.",
        )
    data = source.take(count)
    if len(data) < count:
        _refuse(
            path,
            f"truncated: the IDX header announces shape {shape}, {count} bytes",
            f"{len(data)} bytes",
            "Fetch the file again.",
        )
    source.expect_end()
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


# ---- where MNIST is found


def _find(directory: Path, name: str) -> Path | None:
    """Return the file of that name, plain or compressed; the plain one is the quicker to read."""
    return next((path for path in (directory / name, directory / f"{name}.gz") if path.is_file()), None)


def _holds_mnist(directory: Path) -> bool:
    return any(_find(directory, name) for name in MNIST_SHA256)


def _locate(path: str | os.PathLike[str] | None) -> tuple[Path, bool]:
    """Return the directory to read, and whether the user answers for its contents (the cache's are checked)."""
    if path is not None:
        return Path(path).expanduser(), True
    candidates = [MNIST_CHECKOUT]
    if root := os.environ.get("SYMGRAD_DATA"):
        data = Path(root).expanduser()
        if not data.is_dir():
            raise FileNotFoundError(f"SYMGRAD_DATA names no directory: {data}")
        candidates = [data / "mnist", data, *candidates]
    for candidate in candidates:
        if _holds_mnist(candidate):
            return candidate, True
    return _cache_directory() / "mnist", False


def _cache_directory() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "symgrad"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symgrad"


def _read_split(directory: Path, part: str, *, check_hash: bool) -> Split:
    images, labels = (
        _read_file(directory, f"{part}-{kind}-idx{rank}-ubyte", rank, check_hash)
        for kind, rank in (("images", 3), ("labels", 1))
    )
    if len(images) != len(labels):
        _refuse(
            directory,
            f"the {part} images and labels do not belong together",
            f"{len(images)} images, {len(labels)} labels",
            "Take all four files from one place.",
        )
    return images, labels


def _read_file(directory: Path, name: str, rank: int, check_hash: bool) -> NDArray[np.uint8]:
    path = _find(directory, name)
    if path is None:
        raise FileNotFoundError(
            f"{directory}: neither {name} nor {name}.gz is there. Give `path` or SYMGRAD_DATA a directory with the "
            f"four MNIST files: {', '.join(MNIST_SHA256)}."
        )
    array = read_idx(path)
    if array.ndim != rank or array.dtype != np.uint8:
        _refuse(path, f"not {name}", f"rank {array.ndim}, {array.dtype}", f"MNIST has rank {rank}, uint8.")
    if check_hash and (digest := _digest(array)) != MNIST_SHA256[name]:
        _refuse(path, "not the original file", f"SHA-256 {digest}", "Delete it: it will be fetched again.")
    return array


def _digest(array: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the IDX file that holds this array; there is only one, as `read_idx` is strict."""
    header = bytes([0, 0, 0x08, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    digest = hashlib.sha256(header)
    digest.update(array.data)
    return digest.hexdigest()


# ---- filling the cache


def _fill_cache(directory: Path) -> None:
    """Fetch the files that the cache lacks, each from the first mirror that has the original."""
    for name in MNIST_SHA256:
        if _find(directory, name) is None:
            directory.mkdir(parents=True, exist_ok=True)
            _fetch(directory, name)


def _fetch(directory: Path, name: str) -> None:
    failures = []
    for mirror in MNIST_MIRRORS:
        try:
            _fetch_from(f"{mirror}{name}.gz", directory, name)
        except (OSError, FormatError) as error:
            failures.append(f"{mirror}: {error}")
        else:
            return
    raise FileNotFoundError(
        f"MNIST is neither in the checkout nor in {directory}, and no mirror gave {name}.gz ({'; '.join(failures)}). "
        "Put the four files into a directory and name it in SYMGRAD_DATA."
    )


def _fetch_from(url: str, directory: Path, name: str) -> None:
    """Download to a temporary file, check it, and only then give it its name: no reader ever sees a part."""
    import urllib.request  # 30 ms that only a first download needs

    with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response:
        data: bytes = response.read(MAX_DOWNLOAD + 1)
    if len(data) > MAX_DOWNLOAD:
        raise FormatError("not the original file", got=f"more than {MAX_DOWNLOAD} bytes")
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        temporary = Path(scratch) / f"{name}.gz"
        temporary.write_bytes(data)
        digest = _digest(read_idx(temporary))
        if digest != MNIST_SHA256[name]:
            raise FormatError("not the original file", got=f"SHA-256 {digest}")
        temporary.replace(directory / temporary.name)
