"""Listings: the kernels of a compiled function as loop IR, LLVM IR and assembly, with what each computes.

In: a `Subject` and the labels of its launches. Out: text. Above each kernel stand, as comments, the lines of every
launch that runs it. It must not know how labels are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from codegen.emit import emit
from codegen.ir import Access, Kernel
from codegen.jit import assembly
from codegen.operand import Operand
from codegen.step import Step
from codegen.text import print_kernel
from symgrad.expr import Expr
from symgrad.inspection.labels import Labels
from symgrad.inspection.subject import Subject

Lines = Sequence[tuple[str, ...]]


def as_text(subject: Subject, labels: Labels) -> str:
    """Write the launches in order, what lies in memory between them and why, then the loop IR of every kernel."""
    steps = subject.compiled.steps
    lines = [f"{subject.name}: {len(steps)} launches"]
    width = max((len(s.kernel.name) for s in steps), default=0)
    for number, (step, label) in enumerate(zip(steps, labels.launches, strict=True), 1):
        margin = f"  {number:>{len(str(len(steps)))}}  {step.kernel.name:{width}}  "
        lines += [f"{margin if k == 0 else ' ' * len(margin)}{line}" for k, line in enumerate(label or ("",))]
    lines += _between(steps, labels.names)
    texts = [print_kernel(replace(kernel, comment=label)) for kernel, label in _labelled(subject, labels.launches)]
    return "\n".join([*(line.rstrip() for line in lines), "", *texts])


def _between(steps: Sequence[Step], names: Mapping[Operand, str]) -> list[str]:
    """Say of each value that launches hand on who makes it, who reads it, and why it is stored."""
    made: dict[Expr, int] = {}
    readers: dict[Expr, dict[int, None]] = {}
    for number, step in enumerate(steps, 1):
        for operand, buffer in zip(step.operands, step.kernel.buffers, strict=True):
            if isinstance(operand, Expr) and buffer.access is not Access.OUT and made.get(operand, number) != number:
                readers.setdefault(operand, {})[number] = None
        made |= {o: number for o in step.stored if isinstance(o, Expr) and o not in made}
    rows = [
        (names[o], f"{made[o]} -> {', '.join(map(str, readers[o]))}", steps[made[o] - 1].group.why[o])
        for o in made if o in readers
    ]  # fmt: skip
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(2)]
    lines = [f"  {name:{widths[0]}}  {way:{widths[1]}}  {why}" for name, way, why in rows]
    return ["", "stored from launch to launch:", *lines] if rows else []


def llvm_ir(subject: Subject, labels: Lines) -> str:
    """Write the LLVM IR of every kernel, before LLVM's passes."""
    machine = subject.compiled.machine
    return "\n".join(_comment(";", label) + emit(kernel, machine) for kernel, label in _labelled(subject, labels))


def assembly_text(subject: Subject, labels: Lines) -> str:
    """Write the assembly of every kernel."""
    machine = subject.compiled.machine
    sign = "#" if machine.arch == "x86_64" else "//"
    return "\n".join(
        _comment(sign, label) + assembly(emit(kernel, machine), machine) for kernel, label in _labelled(subject, labels)
    )


def _labelled(subject: Subject, labels: Lines) -> list[tuple[Kernel, tuple[str, ...]]]:
    """Give every kernel once, with the lines of all its launches."""
    kernels: dict[str, Kernel] = {}
    lines: dict[str, dict[str, None]] = {}
    for step, label in zip(subject.compiled.steps, labels, strict=True):
        kernels.setdefault(step.kernel.name, step.kernel)
        lines.setdefault(step.kernel.name, {}).update(dict.fromkeys(label))
    return [(kernel, tuple(lines[name])) for name, kernel in kernels.items()]


def _comment(sign: str, label: Sequence[str]) -> str:
    return "".join(f"{sign} {line}\n" for line in label)
