"""Listings: the kernels of a compiled function as loop IR, LLVM IR and assembly, with what each computes.

In: a `Subject` and the labels of its launches. Out: text. Above each kernel stand, as comments, the lines of every
launch that runs it. It must not know how labels are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.emit import emit
from codegen.ir import Kernel
from codegen.jit import assembly
from codegen.text import print_kernel
from symgrad.inspection.subject import Subject

Labels = Sequence[tuple[str, ...]]


def as_text(subject: Subject, labels: Labels) -> str:
    """Write the launches in order, then the loop IR of every kernel."""
    steps = subject.compiled.steps
    lines = [f"{subject.name}: {len(steps)} launches"]
    width = max((len(s.kernel.name) for s in steps), default=0)
    for number, (step, label) in enumerate(zip(steps, labels, strict=True), 1):
        margin = f"  {number:>{len(str(len(steps)))}}  {step.kernel.name:{width}}  "
        lines += [f"{margin if k == 0 else ' ' * len(margin)}{line}" for k, line in enumerate(label or ("",))]
    texts = [print_kernel(replace(kernel, comment=label)) for kernel, label in _labelled(subject, labels)]
    return "\n".join([*(line.rstrip() for line in lines), "", *texts])


def llvm_ir(subject: Subject, labels: Labels) -> str:
    """Write the LLVM IR of every kernel, before LLVM's passes."""
    machine = subject.compiled.machine
    return "\n".join(_comment(";", label) + emit(kernel, machine) for kernel, label in _labelled(subject, labels))


def assembly_text(subject: Subject, labels: Labels) -> str:
    """Write the assembly of every kernel."""
    machine = subject.compiled.machine
    sign = "#" if machine.arch == "x86_64" else "//"
    return "\n".join(
        _comment(sign, label) + assembly(emit(kernel, machine), machine) for kernel, label in _labelled(subject, labels)
    )


def _labelled(subject: Subject, labels: Labels) -> list[tuple[Kernel, tuple[str, ...]]]:
    """Give every kernel once, with the lines of all its launches."""
    kernels: dict[str, Kernel] = {}
    lines: dict[str, dict[str, None]] = {}
    for step, label in zip(subject.compiled.steps, labels, strict=True):
        kernels.setdefault(step.kernel.name, step.kernel)
        lines.setdefault(step.kernel.name, {}).update(dict.fromkeys(label))
    return [(kernel, tuple(lines[name])) for name, kernel in kernels.items()]


def _comment(sign: str, label: Sequence[str]) -> str:
    return "".join(f"{sign} {line}\n" for line in label)
