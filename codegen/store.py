"""Store: bytes on disk by key, for this user alone.

In: keys, which name everything that the bytes depend on. Out: what was put there, or None. Any doubt is a miss: an
entry that is damaged, cut short, somebody else's or writable by others is as good as none, and a disk that is full or
read-only stores nothing. A directory that others own or may write to, or a symbolic link in its place, is refused with
one warning: who can write there decides what this process runs. It must not know what the bytes are.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

MAGIC: Final = b"symgrad1"
DIGEST: Final = 32  # bytes of a checksum
MOST_BYTES: Final = 256 << 20  # of all entries together, about; the oldest are removed
SWEPT: Final = "00"  # putting a key that begins so, one of 256, looks at the size of all
_KEY: Final = re.compile(r"[0-9a-f]{40,}")
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_HAS_OWNERS: Final = hasattr(os, "geteuid")


def key_of(*parts: str) -> str:
    """Make the key of parts that tell everything apart.

    >>> key_of("a", "bc") == key_of("ab", "c")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


class UntrustedError(Exception):
    """A directory in which others decide what stands."""


class Store:
    """One directory of entries; any number of processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        """Open the directory, which is made where there is none.

        Raise UntrustedError where others decide what stands there, OSError where it cannot be made.
        """
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise UntrustedError(f"{directory} is no directory")
        if not _is_ours(found):
            raise UntrustedError(f"others own {directory}, or may write to it")
        self.directory = directory

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key, None where there is nothing to be trusted."""
        try:
            number = os.open(self._path(key), os.O_RDONLY | _FLAGS)
            with os.fdopen(number, "rb") as file:
                found = os.fstat(number)
                if not (stat.S_ISREG(found.st_mode) and _is_ours(found)):
                    return None
                data = file.read()
        except OSError:
            return None
        begin = len(MAGIC) + DIGEST
        value = data[begin:]
        return value if data[:begin] == MAGIC + _checksum(key, value) else None

    def put(self, key: str, value: bytes) -> None:
        """Keep bytes under a key: all of them appear at once, or nothing does."""
        path = self._path(key)
        new = path.with_name(f".{key}.{os.getpid()}.{os.urandom(8).hex()}")
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600), "wb") as file:
                file.write(MAGIC + _checksum(key, value) + value)
            new.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
        if key.startswith(SWEPT):
            self._sweep()

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return self.directory / key

    def _sweep(self) -> None:
        """Remove the oldest files where all are too large together; what processes that died have left counts, too."""
        with contextlib.suppress(OSError):
            found = []
            for path in self.directory.iterdir():
                with contextlib.suppress(OSError):  # another process removes, too
                    found.append((path.lstat(), path))
            found.sort(key=lambda item: item[0].st_mtime_ns, reverse=True)
            total = 0
            for status, path in found:
                total += status.st_size
                if total > MOST_BYTES:
                    with contextlib.suppress(OSError):
                        path.unlink()


def open_store(environ: Mapping[str, str] = os.environ) -> Store | None:
    """Open the user's store: where SYMGRAD_CACHE says, by default in the system's place for caches.

    Return None for SYMGRAD_CACHE=off; with a warning where the directory cannot be trusted, or the one that was asked
    for cannot be made; without one where the system's place cannot be written to.
    """
    told = environ.get("SYMGRAD_CACHE", "").strip()
    if told == "off":
        return None
    directory = Path(told).expanduser() if told else default_directory(environ)
    if directory is None:
        return None
    try:
        return Store(directory)
    except (UntrustedError, OSError) as error:
        if told or isinstance(error, UntrustedError):
            what = f"symgrad keeps no compiled code: {error}"
            warnings.warn(f"{what}. SYMGRAD_CACHE names another directory, or is off.", RuntimeWarning, stacklevel=2)
        return None


def default_directory(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return where caches of this user go, None where the system does not say.

    >>> default_directory({"XDG_CACHE_HOME": "/home/ada/caches"}, "linux").as_posix()
    '/home/ada/caches/symgrad'
    """
    base = Path(environ.get("LOCALAPPDATA" if platform == "win32" else "XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "symgrad"
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "")
    return home / ("Library/Caches" if platform == "darwin" else ".cache") / "symgrad" if home.is_absolute() else None


def _is_ours(found: os.stat_result) -> bool:
    """Tell whether only this user writes; where the system has no owners, it says so by other means."""
    return not _HAS_OWNERS or (found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE)


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + value).digest()
