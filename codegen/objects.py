"""Objects: kernels to object code, each compiled once.

In: a kernel, or LLVM IR, and a machine row. Out: object code, from this process's memory, from the user's store, or
from LLVM. The key names everything that the code depends on: the kernel's text, the machine row, LLVM, and the sources
that write LLVM IR. What else is kept in the store has keys of the same kind (`full_key`). It must not know graphs.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codegen.jit import LLVM_VERSION, OPTIMIZATION, compile_ir
from codegen.machine import Machine
from codegen.store import Store, key_of, open_store
from symgrad.forks import hold_at_fork
from symgrad.late import late
from symgrad.started import STARTED

if TYPE_CHECKING:
    from codegen.emit import emit
    from codegen.ir import Kernel
    from codegen.text import print_kernel
else:
    emit = late("codegen.emit", "emit")
    print_kernel = late("codegen.text", "print_kernel")

KEPT: Final = 2 << 20  # bytes of objects that a process remembers: some 500 kernels

_objects: dict[str, bytes] = {}  # the last used one comes last
_objects_lock = hold_at_fork(threading.Lock())


def object_of(kernel: Kernel, machine: Machine) -> bytes:
    """Return a kernel's object code for a machine row.

    Raises CompileError where the kernel uses a function that there is not.
    """
    return _known(print_kernel(kernel), machine, lambda: compile_ir(emit(kernel, machine), machine))


def object_of_ir(text: str, machine: Machine) -> bytes:
    """Return the object code of LLVM IR for a machine row."""
    return _known(text, machine, lambda: compile_ir(text, machine))


def _known(text: str, machine: Machine, make: Callable[[], bytes]) -> bytes:
    key = full_key(machine, text)
    image = _remembered(key)
    if image is None:
        store = user_store()
        image = None if store is None else store.get(key)
        if image is None:
            image = make()
            if store is not None:
                store.put(key, image)
        image = _remember(key, image)
    return image


def _remembered(key: str) -> bytes | None:
    with _objects_lock:
        found = _objects.pop(key, None)
        if found is not None:
            _objects[key] = found
        return found


def _remember(key: str, image: bytes) -> bytes:
    """Keep an object, and forget those that nobody has asked for longest where there are too many."""
    with _objects_lock:
        kept = _objects.setdefault(key, image)
        size = sum(map(len, _objects.values()))
        while size > KEPT and len(_objects) > 1:
            size -= len(_objects.pop(next(iter(_objects))))
        return kept


def full_key(machine: Machine, *parts: str) -> str:
    """Make the key of what depends on these parts, on the machine row, on LLVM and on the sources."""
    return key_of(*parts, repr(machine), machine.triple, LLVM_VERSION, str(OPTIMIZATION), sources())


@functools.cache
def user_store() -> Store | None:
    """Open the user's store, once; it is not used where the sources may not be those that run."""
    return open_store() if sources() else None


@functools.cache
def sources() -> str:
    """Return a digest that changes when a source file does; an empty text where files cannot be those that run."""
    lines = []
    try:
        for name, status in _files(str(Path(__file__).resolve().parents[1]), ["codegen", "symgrad"]):
            if status.st_mtime > STARTED - 1:
                return ""
            lines.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    except OSError:  # one has gone meanwhile
        return ""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() if lines else ""


def _files(root: str, folders: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """List the source files in folders and below; not by `Path.rglob`, which takes twice as long."""
    for folder in folders:  # grows while it is read
        with os.scandir(f"{root}/{folder}") as entries:
            for found in entries:
                name = f"{folder}/{found.name}"
                if found.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif name.endswith(".py"):
                    yield name, found.stat()
