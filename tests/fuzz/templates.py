"""The user's vocabulary as call templates: what no single row shows, such as slices, joins, regions and derivatives.

In: a generator. Out: a node more. `KINDS` is the table of ways to go on, each with a weight.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz.generate import Generator, is_symbolic, text
from fuzz.program import Program
from fuzz.rows import draw_elementwise, draw_row
from symgrad.shape import Size

# Of any float value; what is random in a template is chosen by `_fill`.
SMOOTH = (
    "sg.tanh({x})", "sg.sigmoid({x})", "sg.sin({x})", "sg.exp(sg.tanh({x}))", "{x} * {x}", "1 / ({x} * {x} + 1)",
    "sg.log({x} * {x} + 0.5)", "sg.sqrt({x} * {x} + 1)", "2.5 - {x} / 3", "{x} * N / (M + 1)", "{x}**3",
    "sg.log(sg.sum(sg.exp(sg.tanh({x}))))", "{x}[...]", "({x} + 1) - {x}", "0 * {x} + 1.5", "sg.full_like({x}, 0.5)",
)  # fmt: skip
KINKS = (
    "sg.abs({x})", "sg.relu({x})", "sg.sign({x})", "sg.floor({x} * 3)", "sg.where({x} > 0.1, {x} * 2, -{x})",
    "sg.where({x} > 0, sg.sqrt(sg.maximum({x}, 0.01)), sg.exp(sg.minimum({x}, 0)))", "sg.clip({x}, -0.5, 0.7)",
    "sg.where({x} > 0, sg.log(sg.where({x} > 0, {x} + 0.1, 1)), 0)", "sg.maximum({x}, 0) * sg.minimum({x}, 0.5)",
)  # fmt: skip
REGIONS = (
    "sg.checkpoint(lambda a: sg.sin(a) * sg.exp(-a * a))({x})",
    "sg.checkpoint(lambda a, b: sg.tanh(a * sg.sum(sg.sin(b))))({x}, {y})",
    "sg.custom_gradient(lambda a: sg.sin(a), lambda operands, out, g: g * sg.cos(operands[0]), check=False)({x})",
    "sg.custom_gradient(lambda a: a * a, lambda operands, out, g: 2 * g * operands[0], check=False)({x})",
    "sg.jvp(sg.sin({x}) * {x}, {x}, sg.ones_like({x}))", "sg.grad(sg.sum(sg.sin({x}) * {x}), {x})",
    "sg.grad(sg.sum(sg.tanh({x})**2), {x}, simplify=False)", "sg.hvp(sg.sum({x}**3), {x}, sg.cos({x}))",
    "sg.jvp(sg.sum(sg.softplus({x})), {x}, {x})", "sg.assume(sg.square({x}), nonnegative=True)",
    "sg.sqrt(sg.assume(sg.exp(sg.tanh({x})), positive=True))", "sg.assume({x}, finite=True) * 2",
    "sg.vjp(sg.sin({x}), {x}, {x})", "sg.stop_gradient({x}) * {x}",
)  # fmt: skip
# Of values with an axis to map over, or to run along.
MAPPED = (
    "sg.vmap(lambda a: sg.sum(sg.tanh(a)) * a)({x})", "sg.vmap(lambda a: sg.sin(a), in_axes={axis})({x})",
    "sg.vmap(lambda a: sg.softplus(a) - sg.mean(a))({x})", "sg.vmap(lambda a: sg.cumsum(sg.ravel(a)))({x})",
    "sg.vmap(lambda a, b: a * sg.max(b))({x}, {y})", "sg.vmap(lambda a: sg.grad(sg.sum(sg.sin(a)), a))({x})",
    "sg.vmap(lambda a: sg.sum(a * sg.arange(N, dtype='float32').astype(a.dtype)[:1]))({x})",
)  # fmt: skip
ALONG = (
    "sg.cumsum({x}, axis={axis})", "sg.cumprod(1 + 0.1 * sg.tanh({x}), axis={axis})", "sg.sort({x}, axis={axis})",
    "sg.argsort({x}, axis={axis})", "sg.softmax({x}, axis={axis})", "sg.log_softmax({x}, axis={axis})",
    "sg.softmax({x}, axis={axis})", "sg.roll({x}, {shift}, axis={axis})", "sg.flip({x}, {axis})",
    "sg.repeat({x}, 2, axis={axis})", "sg.concatenate([{x}, {x} * 2], axis={axis})", "sg.expand_dims({x}, {axis})",
    "sg.stack([{x}, sg.sin({x}), {x}], axis={axis})", "sg.swapaxes({x}, {axis}, 0)", "sg.moveaxis({x}, 0, {axis})",
    "sg.split({x}, [1], axis={axis})[0]", "sg.top_k({x}, 1, axis={axis})[0]", "sg.argmax({x}, axis={axis})",
    "sg.argmin({x}, axis={axis})", "sg.take({x}, [0, -1, 0], axis={axis})",
    "sg.sort({x}, axis={axis}, descending=True)",
)  # fmt: skip
WHOLE = (
    "sg.pad({x}, 1)", "sg.pad({x}, 2, constant_values=1.5)", "sg.tile({x}, 2)", "sg.ravel({x})", "{x}.T",
    "sg.squeeze({x})", "sg.flatten({x})", "sg.vdot({x}, {x})", "sg.tensordot({x}, {x}, axes=0)", "sg.outer({x}, {x})",
    "sg.broadcast_to({x}, {grown})", "sg.zeros_like({x}) + 1", "sg.one_hot(({x} > 0).astype('int32'), 3)",
)  # fmt: skip
MATRICES = (
    "sg.tril({x})", "sg.triu({x}, 1)", "sg.matrix_transpose({x})", "{x} @ sg.matrix_transpose({x})",
    "sg.matrix_transpose({x}) @ {x}", "sg.einsum('...ij,...kj->...ik', {x}, sg.cos({x}))", "sg.diagonal({x})",
    "sg.linalg.det(sg.eye(3, dtype='{dtype}') * 4 + sg.tanh({x})[..., :3, :3])", "sg.trace({x})",
    "sg.sum({x}[..., :1, :] * {x}[..., :, :1])", "sg.einsum('...ij->...ji', {x})", "sg.einsum('...ii', {x})",
    "sg.linalg.solve(sg.eye(2, dtype='{dtype}') * 3 + sg.tanh({x})[..., :2, :2], {x}[..., :2, :])",
)  # fmt: skip
FOLDS = (
    "sg.sum({x}, axis={axes}, keepdims={keep})", "sg.mean({x}, axis={axes}, keepdims={keep})",
    "sg.var({x}, axis={axes}, keepdims={keep})", "sg.logsumexp({x}, axis={axes}, keepdims={keep})",
    "sg.prod(1 + 0.1 * sg.tanh({x}), axis={axes}, keepdims={keep})", "sg.max({x}, axis={axes}, keepdims={keep})",
    "sg.min({x}, axis={axes}, keepdims={keep})", "sg.any({x} > 0.3, axis={axes}, keepdims={keep})",
    "sg.all({x} < 0.9, axis={axes}, keepdims={keep})", "sg.std({x} + 0.1, axis={axes}, keepdims={keep})",
    "sg.norm(1.5 + sg.tanh({x}), axis={axes}, keepdims={keep})", "sg.sum({x} * {y}, axis={axes}, keepdims={keep})",
    "sg.sum({x} > 0.3, axis={axes}, keepdims={keep})", "{x} - sg.max({x}, axis={axes}, keepdims=True)",
    "({x} - sg.mean({x}, axis={axes}, keepdims=True)) / sg.sqrt(sg.var({x}, axis={axes}, keepdims=True) + 0.1)",
)  # fmt: skip
INTEGERS = (
    "{i} + {j}", "{i} - {j}", "{i} * {j}", "sg.maximum({i}, {j})", "{i} // ({j} * {j} + 1)", "({i} == {j}) | ({i} < 2)",
    "{i} % (abs({j}) + 2)", "{i}**2", "sg.sum({i})", "{i} // -3", "{i} % -3", "{i} ^ {j}", "{i} & 5", "~{i}",
    "{i} >> 1",
    "sg.cumsum({i})", "sg.sort({i}, axis=None)", "{i}.astype('{dtype}') * 0.1", "({i} > {j}).astype('{dtype}')",
    "sg.where({i} > 3, {i}, {j})", "sg.max(sg.concatenate([sg.ravel({i}), sg.zeros((1,), {i}.dtype)]))",
    "sg.where({b}, {i}, 2)", "sg.where({b}, 0.5, {x})", "sg.logical_xor({b}, {i} > 2)", "sg.sum({b})",
)  # fmt: skip
CASTS = (
    "{x}.astype('float64')", "{x}.astype('float32')", "sg.floor({x} * 4).astype('int32')", "({x} * 3).astype('int64')",
    "{x}.astype('bool')", "sg.round({x} * 2).astype('int8')", "{x}.astype('float32').astype('{dtype}')",
)  # fmt: skip


def _fill(g: Generator, template: str, least: int = 0) -> str:
    """Choose the operands, axes and numbers of a template."""
    x = g.float_(least)
    same = g.pick(lambda v: v.is_float and v.node.shape == x.node.shape) or x
    parts: dict[str, object] = {"x": x.name, "y": same.name, "dtype": g.dtype, "keep": g.rng.random() < 0.3}
    parts["shift"] = g.rng.choice([1, -2, 5])
    parts |= {key: make(g).name for key, make in NAMED.items() if f"{{{key}}}" in template}
    if x.node.ndim:
        parts["axis"] = g.axis(x.node)
    parts["axes"] = g.axes(x.node)
    parts["grown"] = text((g.rng.choice(g.palette), *x.node.shape))
    return template.format(**parts)


NAMED = {"i": Generator.integer, "j": Generator.integer, "b": Generator.boolean}


def _from(table: tuple[str, ...], least: int = 0) -> Callable[[Generator], object]:
    return lambda g: g.make(_fill(g, g.rng.choice(table), least))


def _slice(g: Generator) -> None:
    """Cut along one axis, or choose one index of it."""
    x = g.pick(lambda v: v.node.ndim >= 1)
    if x is None:
        return
    axis = g.rng.randrange(x.node.ndim)
    size = x.node.shape[axis]
    most = ":-1" if is_symbolic(size) else f":{max(size - 1, 1)}"  # type: ignore[operator]
    parts = ["::-1", "::2", "::-2", most, "1:", "-1", "0", "1::3", "None", "0:1"]
    g.make(f"{x.name}[{':, ' * axis}{g.rng.choice(parts)}]")


def _reshape(g: Generator) -> None:
    """Merge two axes, split one, add or permute some."""
    x = g.pick(lambda v: v.node.ndim >= 1)
    if x is None:
        return
    shape, ndim = x.node.shape, x.node.ndim
    axis = g.rng.randrange(ndim)
    size = shape[axis]
    choices: list[tuple[Size, ...]] = [(*shape[:axis], 1, *shape[axis:])]
    if axis + 1 < ndim:
        choices += [(*shape[:axis], size * shape[axis + 1], *shape[axis + 2 :])] * 2
    divisors = [k for k in range(2, 10) if isinstance(size, int) and size > k and size % k == 0]
    if divisors:
        k = g.rng.choice(divisors)
        choices += [(*shape[:axis], size // k, k, *shape[axis + 1 :])] * 2
    if g.rng.random() < 0.4:
        g.make(f"sg.transpose({x.name}, {tuple(g.rng.sample(range(ndim), ndim))})")
    else:
        g.make(f"{x.name}.reshape({text(g.rng.choice(choices))})")


def _join(g: Generator) -> None:
    """Put values side by side."""
    x = g.float_(1)
    axis = g.axis(x.node)
    parts = [x]
    for _ in range(g.rng.randrange(1, 3)):
        fitting = g.pick(lambda v: v.node.dtype == x.node.dtype and v.node.ndim == x.node.ndim)
        parts.append(fitting or x)
    names = ", ".join(p.name for p in parts)
    op = g.rng.choice(["concatenate", "concatenate", "stack"])
    g.make(f"sg.{op}([{names}], axis={axis})")


def _matmul(g: Generator) -> None:
    """Multiply by a value that fits, a parameter or an input."""
    x = g.float_(1)
    other = g.pick(lambda v: v.node.dtype == x.node.dtype and v.node.ndim >= 1 and v is not x)
    if other is not None and g.rng.random() < 0.5:
        for a, b in (("", ""), ("", ".T"), (".T", ""), (".T", ".T")):
            if g.make(f"{x.name}{a} @ {other.name}{b}") is not None:
                return
    inner, outer = x.node.shape[-1], g.rng.choice(g.palette)
    shape: tuple[Size, ...] = g.rng.choice([(inner, outer), (inner, outer), (inner,), (outer, inner)])
    if x.node.ndim > 2 and g.rng.random() < 0.4:
        shape = (*(g.rng.choice((1, n)) for n in x.node.shape[:-2]), inner, outer)
    fixed = [n for n in shape if isinstance(n, int)]
    if len(fixed) == len(shape) and x.node.dtype == g.dtype and g.rng.random() < 0.5:
        y = g.parameter(fixed)
    else:
        y = g.symbol(shape, str(x.node.dtype), -1, 1)
    turned = ".T" if len(shape) == 2 and shape[-1] == inner and shape[0] != inner else ""
    product = g.make(f"{x.name} @ {y.name}{turned}")
    if product is not None and g.rng.random() < 0.5:  # a layer
        after = g.rng.choice(["sg.relu({x} + 0.1)", "sg.tanh({x})", "sg.softmax({x} * 2)", "{x} * {x} + {x}"])
        if product.node.ndim:
            g.make(after.format(x=product.name))


def _gather(g: Generator) -> None:
    """Take elements at computed or given positions."""
    x = g.float_(1)
    axis, dtype = g.rng.randrange(x.node.ndim), g.rng.choice(["int32", "int64"])
    kind = g.rng.choice(["take", "take", "pick", "one_hot", "along"])
    extent = x.node.shape[axis if kind == "take" else -1]
    low = g.rng.choice((0, 0 - extent))
    if kind == "take":
        shape = tuple(g.rng.choice(g.palette) for _ in range(g.rng.randrange(3)))
        g.make(f"sg.take({x.name}, {g.symbol(shape, dtype, low, extent).name}, axis={axis})")
    elif kind == "along":
        shape = (*x.node.shape[:-1], g.rng.choice(g.palette))
        g.make(f"sg.take_along_axis({x.name}, {g.symbol(shape, dtype, low, extent).name})")
    else:
        i = g.symbol(x.node.shape[:-1], dtype, low, extent).name
        g.make(f"sg.pick({x.name}, {i})" if kind == "pick" else f"sg.one_hot({i}, {extent}, '{g.dtype}') * {x.name}")


def _numbers(g: Generator) -> None:
    """Count, or draw random numbers."""
    n, shape, key = g.rng.choice(g.palette), text(g.shape()), g.rng.randrange(100)
    g.make(g.rng.choice((
        f"sg.arange({n}, dtype='{g.dtype}') / (N + 1)", f"sg.random.uniform({key}, {shape}, dtype='{g.dtype}')",
        f"sg.random.normal({key}, {shape}, dtype='{g.dtype}')", f"sg.eye({n}, dtype='{g.dtype}')",
        f"sg.full({shape}, 0.25, '{g.dtype}')", f"(sg.arange({n}) * M + N)",
    )))  # fmt: skip


KINDS: dict[Callable[[Generator], object], float] = {
    draw_row: 8, draw_elementwise: 4, _from(SMOOTH): 3, _from(KINKS): 2, _from(REGIONS): 1, _from(MAPPED, 1): 1,
    _from(ALONG, 1): 3, _from(WHOLE): 1, _from(MATRICES, 2): 1.5, _from(FOLDS): 4, _from(INTEGERS): 2, _from(CASTS): 1,
    _slice: 2, _reshape: 2, _join: 1.5, _matmul: 4, _gather: 2, _numbers: 0.5,
}  # fmt: skip


def generate(seed: int, size: int | None = None) -> Program:
    """Make the program of a seed: of so many lines, or of 5 to 40 nodes and some more."""
    generator = Generator(seed)
    return generator.grow(size or generator.rng.choice(USUAL), KINDS, lambda g: draw_row(g, seed))


USUAL = (4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 25)  # lines, most of which hold two or three nodes
