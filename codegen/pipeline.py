"""The pipeline: expressions to a compiled program.

In: inputs (symbols), outputs, new values of parameters, options. Out: a `Compiled`: the executable, linked kernels in
the order of their launches and what each buffer is bound to, and what was made on the way to it. `codegen.kernel` binds
the executable to dimensions and arrays, and runs it.

    stage      in -> out                                             file
    inline     graph -> graph without graphs inside nodes            symgrad/ops/body.py
    guards     graph -> + range checks of indices                    guards.py
    expand     graph -> graph without composites                     expand.py
    group      graph -> groups                                       group.py
    arrange    groups -> ordered groups, updates in place            arrange.py
    lower      group -> kernels of the loop IR                       lower.py
    rows       launches over the same rows -> one                    rows.py
    verify     kernel -> the same, or an error                       verify.py
    emit       kernel -> LLVM IR                                     emit.py
    compile    LLVM IR -> object, objects -> library                 jit.py

Nothing flows back: a kernel never asks a node, an operator never asks a kernel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.arrange import Plan, arrange
from codegen.cost import work
from codegen.dump import dump
from codegen.emit import emit
from codegen.executable import Executable
from codegen.expand import expand
from codegen.forms import Forms
from codegen.group import Group, Why, group
from codegen.guards import Guard, find_guards
from codegen.ir import Kernel
from codegen.jit import link
from codegen.machine import Machine, machine, runnable, with_dot
from codegen.objects import object_of
from codegen.operand import Operand
from codegen.reach import is_literal, is_memory
from codegen.rows import join_rows
from codegen.step import Step
from codegen.text import print_kernel
from symgrad import side
from symgrad.errors import CompileError
from symgrad.expr import Expr, Parameter
from symgrad.ops.body import inline
from symgrad.ops.row import ROWS
from symgrad.options import Options

Updates = Sequence[tuple[Parameter, Expr]]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A compiled graph: the executable, and the nodes, groups and kernels from which it was made.

    `results` are the nodes that hold the outputs; `updated` maps the nodes that hold new values to the parameters in
    whose memory they lie; `flags` lie in the status word; `home` gives the group of every stored node.
    """

    executable: Executable
    results: tuple[Expr, ...]
    updated: dict[Expr, Parameter]
    flags: frozenset[Expr]
    guards: tuple[Guard, ...]
    steps: tuple[Step, ...]
    machine: Machine
    home: Mapping[Expr, Group]

    @property
    def kernels(self) -> dict[str, Kernel]:
        """Map names to kernels, in the order of their first launches."""
        return {s.kernel.name: s.kernel for s in self.steps}

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """List the parameters that are read or written, in the order of the launches."""
        return self.executable.parameters

    def objects(self) -> dict[str, bytes]:
        """Map the names of kernels to their object code."""
        return {name: object_of(kernel, self.machine) for name, kernel in self.kernels.items()}


def compile_graph(
    inputs: Sequence[Expr], outputs: Sequence[Expr], updates: Updates, options: Options, *,
    trusted: Collection[Expr] = (),
) -> Compiled:  # fmt: skip
    """Compile a graph to a program, with range checks of all indices but the trusted ones.

    Raise CompileError where that is not possible.
    """
    target = machine(options.machine)
    if target not in runnable():
        names = ", ".join(row.name for row in runnable())
        raise CompileError(f"this host cannot run code for {target.name!r}", hint=f"It can run: {names}.")
    target = with_dot(target) if options.precision == "bf16" else target
    outputs, updates = inline(outputs), list(zip((p for p, _ in updates), inline([v for _, v in updates]), strict=True))
    guards = find_guards([*outputs, *(v for _, v in updates)], trusted)
    flags, results, values = _expanded(guards, outputs, updates)
    renewed = list(zip((p for p, _ in updates), values, strict=True))
    waiting = _guarded(guards, flags)
    dump("expand", lambda: "\n".join(map(str, [*results, *values])))
    groups, home = group([*dict.fromkeys([*flags, *results, *values])], options.fuse, waiting)
    plan = arrange(groups, home, results, renewed, waiting, options.fuse)
    plan, updated = _with_copies(plan, home)
    dump("group", lambda: "\n".join(map(describe_group, plan.groups)))
    forms = Forms(target, options)
    steps = [step for g in plan.groups for step in _lowered(g, plan, forms, set(flags))]
    if options.fuse:
        steps = join_rows(steps, forms, home, {*results, *flags, *updated}, updated)
    kernels = {s.kernel.name: s.kernel for s in steps}
    dump("lower", lambda: "\n".join(map(print_kernel, kernels.values())))
    dump("emit", lambda: "\n".join(emit(k, target) for k in kernels.values()))
    library = link({name: object_of(kernel, target) for name, kernel in kernels.items()})
    executable = Executable(
        tuple(inputs), tuple(results), dict[Operand, Parameter](updated.items()), frozenset(flags),
        tuple(step.call() for step in steps), library, options.poison,
    )  # fmt: skip
    return Compiled(
        executable, tuple(results), updated, frozenset(flags), tuple(guards), tuple(steps), target, home
    )  # fmt: skip


def _expanded(
    guards: Sequence[Guard], outputs: Sequence[Expr], updates: Updates
) -> tuple[list[Expr], list[Expr], list[Expr]]:
    """Expand everything that is stored; what is given already is copied."""
    roots = expand([*(g.flag for g in guards), *outputs, *(v for _, v in updates)])
    with side.building_at(None):
        roots = [ROWS["stop_gradient"](r) if is_memory(r) or is_literal(r) else r for r in roots]
    a, b = len(guards), len(guards) + len(outputs)
    return roots[:a], roots[a:b], roots[b:]


def _guarded(guards: Sequence[Guard], flags: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
    """Pair each flag with the expanded node that must wait for it."""
    return list(zip(flags, expand(g.node for g in guards), strict=True))


def _with_copies(plan: Plan, home: dict[Expr, Group]) -> tuple[Plan, dict[Expr, Parameter]]:
    """Add a copy at the end for every parameter that cannot be overwritten by the group that computes its value."""
    updated = {u.value: u.parameter for u in plan.updates if u.in_place}
    groups, reads = list(plan.groups), dict(plan.reads)
    for u in plan.updates:
        if u.in_place:
            continue
        number = max(g.number for g in groups) + 1
        with side.building_at(None):
            copy = ROWS["stop_gradient"](u.value)
        while copy in home:  # two parameters may take the same value
            copy = ROWS["stop_gradient"](copy)
        new = Group(number, copy.shape, None, [copy], [copy], why={copy: Why.WANTED})
        home[copy] = new
        groups.append(new)
        reads[new] = (u.value,)
        updated[copy] = u.parameter
    return replace(plan, groups=tuple(groups), reads=reads), updated


def _lowered(g: Group, plan: Plan, forms: Forms, flags: set[Expr]) -> Iterable[Step]:
    kernels = forms.lower(g, plan.home)
    cost = work(g, plan.reads[g])
    for position, item in enumerate(kernels):
        last = position == len(kernels) - 1
        yield Step(item.kernel, item.operands, cost, last and any(n in flags for n in g.stores), g)


def describe_group(g: Group) -> str:
    """Say in one line what a group computes and stores."""
    inside = ", ".join(n.op for n in ([] if g.root is None else [g.root]) + g.nodes)
    return f"{'map' if g.root is None else g.root.op}: {inside}; stores {len(g.stores)}"
