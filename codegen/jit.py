"""The JIT: LLVM IR text to objects, assembly and callable code.

In: the text of a module and a machine row. Out: object code (the same bytes in every process), assembly, and a
`Library` that holds linked code alive. It must not know kernels' contents; a kernel is a name and an ABI here.

LLVM's defects are cured here and nowhere else: pass managers are freed by hand and used once, llvmlite's global lock is
held across a fork, the loop vectoriser (which has open miscompiles) and the unroller are not run, and what would end
the process (an unknown processor, a symbol that is not there) never reaches LLVM.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import llvmlite.binding as llvm

from codegen.machine import Machine, host
from codegen.object_file import undefined_symbols
from symgrad.errors import CompileError
from symgrad.forks import hold_at_fork

# void kernel(ptr args, ptr dims, i64 lo, i64 hi, ptr scratch); calling one releases the GIL.
KERNEL_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
OPTIMIZATION = 3  # of LLVM's code generator
LLVM_VERSION = ".".join(map(str, llvm.llvm_version_info))

_library_numbers = itertools.count()
hold_at_fork(llvm.ffi.lib._lock._lock)  # every call into LLVM takes it


def compile_ir(text: str, machine: Machine) -> bytes:
    """Return the object code of a module for a machine row.

    Raises CompileError where LLVM refuses the text, or the text calls what it does not define.
    """
    with _optimized(text, machine) as (module, target):
        image = bytes(target.emit_object(module))
    foreign = undefined_symbols(image)
    if foreign:  # the linker would look them up in the process, and find libm there
        hint = "An operation became a call into a library."
        raise CompileError("compiled code may call nothing outside", got=", ".join(foreign), hint=hint)
    return image


def assembly(text: str, machine: Machine) -> str:
    """Return the assembly of a module for a machine row."""
    with _optimized(text, machine) as (module, target):
        return str(target.emit_assembly(module))


def optimized_ir(text: str, machine: Machine) -> str:
    """Return the LLVM IR of a module after LLVM's passes."""
    with _optimized(text, machine) as (module, _):
        return str(module)


class Library:
    """Linked code: addresses by name, valid as long as the library is alive and not closed."""

    def __init__(self, tracker: llvm.ResourceTracker, engine: llvm.LLJIT, names: tuple[str, ...]) -> None:
        self._tracker, self.names = tracker, names
        self._close = weakref.finalize(self, _unload, tracker, engine)
        self._close.atexit = False  # at exit a thread may still be running this code

    def address(self, name: str) -> int:
        """Return the address of a function.

        Raises CompileError for a name that was not linked, or after `close`.
        """
        if not self._close.alive:
            raise CompileError(f"{name} was asked of a closed library")
        if name not in self.names:
            raise CompileError(f"the library has no function {name!r}", got=", ".join(self.names))
        return int(self._tracker[name])

    def function(self, name: str) -> Callable[..., None]:
        """Return a kernel as a Python callable, which keeps the library alive."""
        call = KERNEL_TYPE(self.address(name))
        call.library = self  # type: ignore[attr-defined]
        return call

    def close(self) -> None:
        """Unload the code; calling it afterwards ends the process."""
        self._close()


def link(objects: Mapping[str, bytes]) -> Library:
    """Link objects, each named by the function it defines, into one library for this process.

    Raises CompileError for a symbol that is defined nowhere: compiled code calls nothing of the process.
    """
    target = _target_machine(host())
    engine = llvm.create_lljit_compiler(target, suppress_errors=True)
    builder = llvm.JITLibraryBuilder()
    for image in dict.fromkeys(objects.values()):
        builder.add_object_img(image)
    for name in objects:
        builder.export_symbol(name)
    try:
        tracker = builder.link(engine, f"symgrad.{next(_library_numbers)}")
    except RuntimeError as error:
        engine.close()
        raise CompileError("compiled code does not link", got=str(error).strip()) from None
    return Library(tracker, engine, tuple(objects))


def _unload(tracker: llvm.ResourceTracker, engine: llvm.LLJIT) -> None:
    """Free the code, then the engine that it lives in: the other way round is a crash."""
    tracker.close()
    engine.close()


@contextlib.contextmanager
def _optimized(text: str, machine: Machine) -> Iterator[tuple[llvm.ModuleRef, llvm.TargetMachine]]:
    """Lend an optimised module, in a context of its own: constants and types live as long as their context does."""
    line = _pipeline(machine)
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(contextlib.closing(llvm.create_context()))
        module = stack.enter_context(contextlib.closing(_parsed(text, context)))
        module.data_layout = str(line.target.target_data)
        _run_passes(module, line.builder)
        yield module, line.target


def _parsed(text: str, context: llvm.ContextRef) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text, context)
        module.verify()
    except RuntimeError as error:
        raise CompileError("LLVM refuses a kernel", got=str(error).strip()) from None
    return module


def _run_passes(module: llvm.ModuleRef, builder: llvm.PassBuilder) -> None:
    """Inline what asks for it, and simplify each function by the few passes that kernels gain from.

    A kernel is one function, its loops are scheduled already, and what they do not change stands before them: LLVM's
    own choice of passes takes four times as long for code that is no faster.
    """
    whole = llvm.create_new_module_pass_manager()
    whole.add_always_inliner_pass()
    whole.add_global_dead_code_eliminate_pass()
    whole.run(module, builder)
    each = llvm.create_new_function_pass_manager()
    each.add_sroa_pass()
    each.add_instruction_combine_pass()
    each.add_simplify_cfg_pass()
    each.add_loop_rotate_pass()
    for function in module.functions:
        if not function.is_declaration:
            each.run(function, builder)
    for passes in (whole, each):  # `close()` of a pass manager frees nothing: this does, and then nothing is owned
        llvm.newpassmanagers.NewPassManager._dispose(passes)
        passes.detach()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What makes LLVM's passes for one machine row; every call into it holds llvmlite's lock."""

    target: llvm.TargetMachine
    builder: llvm.PassBuilder


@functools.cache
def _pipeline(machine: Machine) -> Pipeline:
    """Set up LLVM's passes, once: llvmlite never frees the instrumentation of a builder, 1.5 KiB."""
    target = _target_machine(machine)
    return Pipeline(target, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options()))


def _target_machine(machine: Machine) -> llvm.TargetMachine:
    _initialize()
    target = llvm.Target.from_triple(machine.triple)
    return target.create_target_machine(
        cpu=machine.cpu,
        features=machine.features,
        opt=OPTIMIZATION,
        reloc="pic",
        codemodel="default",
    )


@functools.cache
def _initialize() -> None:
    """Register LLVM's targets."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
