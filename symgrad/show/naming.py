"""Which parts of a formula get a line of their own, and what they are called.

In: expressions, and names that somebody chose. Out: for every node that stands in a formula by a name, that name. A
let-line is made for what the user named, for what is used twice, for probabilities inside a formula and for what stands
deeper in brackets than a reader follows (or Python's parser), but not for a single elementwise operation on names: that
is shorter written again. Where nobody chose a name, the form of the value does: P for probabilities, H for activations,
Z before them, R for residuals, G for gradient factors; small letters for vectors and scalars. It must not know how
operators are written.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from symgrad import side
from symgrad.expr import Expr, Parameter
from symgrad.ops.row import ROWS
from symgrad.ops.structure import Cast, Leaf, Map
from symgrad.shape import Dim, names
from symgrad.show.compounds import reading_order, reads
from symgrad.show.plain import unit_index

LEAVES = frozenset(name for name, row in ROWS.items() if isinstance(row.structure, Leaf))
_ACTIVATIONS = frozenset({"relu", "tanh", "softplus", "erf", "sin", "cos"})
_PROBABILITIES = frozenset({"softmax", "sigmoid"})
_DEEPEST = 16  # operations inside each other on one line
_CHAINS = ({"add", "subtract", "negative"}, {"multiply", "divide", "negative"}, {"matmul"})  # written without brackets
_FOLLOWED = 24  # how many rewrites back a node's origin is looked for
_SEARCHED = 100  # nodes of a step of the chain rule, or of an update


class Names:
    """The names in a formula: `of(node)` gives the name a node stands under, None where it is written out."""

    def __init__(
        self, roots: Sequence[Expr], given: Mapping[int, str] | None = None, chosen: Mapping[int, str] | None = None,
        updates: Sequence[tuple[Expr, Expr]] = (), apart: Collection[int] = (), needed: Collection[int] = (),
    ) -> None:  # fmt: skip
        """Choose all names.

        - `given`: lines that will exist, by node.
        - `chosen`: names to use if a line is needed, and names of leaves.
        - `updates`: pairs (parameter, new value); a new value that others use stands under the parameter's name, and
          those in `apart` get a line of their own.
        - `needed`: nodes that get a line in any case.
        """
        given, chosen = given or {}, chosen or {}
        self.order = reading_order(roots)
        suggested = {id(node): name for node in self.order if (name := side.suggested_name(node)) is not None}
        chosen = {**suggested, **chosen}
        self.position = {id(node): i for i, node in enumerate(self.order)}
        self._renewed = {id(new): param for param, new in updates}
        self._names: dict[int, str] = {}
        self._taken: set[str] = set(given.values()) | _dimension_names(self.order)
        self._name_leaves(chosen)
        given = {**self._updated(updates, apart), **given}
        separate = {id(new): f"{self.of(param)}_new" for param, new in updates if id(new) in apart}
        self.lines = self._shared(roots, given, {*separate, *needed})
        self._names.update(given)
        chosen = {**chosen, **separate}
        self._name_lines({**self._gradients(updates, chosen), **chosen})

    def of(self, node: Expr) -> str | None:
        """Give the name under which a node stands in formulas."""
        return self._names.get(id(self.bearer(node)))

    def is_renewed(self, term: Expr, new: Expr) -> bool:
        """Tell whether a term of a new value is the old one: it stands first, as in W + V."""
        return self._renewed.get(id(new)) is term

    def bearer(self, node: Expr) -> Expr:
        """Give the node that bears the name: what is assumed of a value needs no name of its own."""
        while node.op == "assume" and id(node) not in self._names:
            (node,) = node.args
        return node

    def fresh(self, wanted: str) -> str:
        """Reserve a name: the wanted one, or that with the next free number."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def _name_leaves(self, chosen: Mapping[int, str]) -> None:
        for node in self.order:
            if node.op in ("symbol", "parameter"):
                self._names[id(node)] = self.fresh(identifier(chosen.get(id(node)) or node.attrs["name"]))
            elif node.op == "buffer" and node.size != 0 and (node.ndim > 1 or node.size > 6):
                self._names[id(node)] = self.fresh(side.name_of(node) or "c")

    def _updated(self, updates: Sequence[tuple[Expr, Expr]], apart: Collection[int]) -> dict[int, str]:
        """Let new values that are part of something else stand under the names of their parameters."""
        used = {id(arg) for node in self.order for arg in reads(node)}
        return {
            id(new): self._names[id(param)]
            for param, new in reversed(updates)
            if new.args and id(new) in used and id(new) not in apart and side.name_of(new) is None
        }

    def _shared(self, roots: Sequence[Expr], given: Mapping[int, str], needed: Collection[int]) -> list[Expr]:
        """List the nodes that get a line, operands first."""
        uses: dict[int, int] = {}
        for node in self.order:
            for arg in reads(node):
                uses[id(arg)] = uses.get(id(arg), 0) + 1
        for root in roots:
            if id(root) not in given:
                uses[id(root)] = uses.get(id(root), 0) + 1
        ends = set(roots)
        lines: list[Expr] = []
        depths: dict[int, int] = {}
        standing = set(self._names) | set(given)
        for node in self.order:
            if node.op in LEAVES or id(node) in standing:
                continue
            if node.op == "assume" and id(node.args[0]) in standing and side.name_of(node) is None:
                standing.add(id(node))
                continue
            shared = uses.get(id(node), 0) > 1 and not _is_short(node, standing)
            probability = node.op in _PROBABILITIES and uses.get(id(node), 0) > 0 and node not in ends
            depths[id(node)] = max((depths.get(id(x), 0) + _is_deeper(x, node) for x in reads(node)), default=0)
            deep = depths[id(node)] > _DEEPEST and node not in ends
            if shared or probability or deep or id(node) in needed or side.name_of(node) is not None:
                standing.add(id(node))
                lines.append(node)
                depths[id(node)] = 0
        return lines

    def _gradients(self, updates: Sequence[tuple[Expr, Expr]], chosen: Mapping[int, str]) -> dict[int, str]:
        """Call the gradient that the update of a trainable W reads dW, where it has a line and nobody named it."""
        unnamed = {id(node) for node in self.lines if side.name_of(node) is None and id(node) not in chosen}
        found: dict[int, str] = {}
        for param, new in updates:
            near = [new] if isinstance(param, Parameter) and param.trainable and unnamed else []
            for node in near:  # grows while it is read: nodes of the parameter's shape, the nearest first
                if id(node) in unnamed and id(node) not in found and _is_cotangent(node):
                    found[id(node)] = f"d{self._names[id(param)]}"
                    break
                near += [x for x in reads(node) if x.type == param.type][: max(0, _SEARCHED - len(near))]
        return found

    def _name_lines(self, chosen: Mapping[int, str]) -> None:
        """Take the user's names, then suggested ones, then those that the form of the value gives."""
        for node in self.lines:
            name = side.name_of(node) or chosen.get(id(node))
            if name is not None:
                self._names[id(node)] = self.fresh(identifier(name))
        self._unnamed = {id(node): _letter(node) for node in self.lines if id(node) not in self._names}
        self.number(self.lines)

    def number(self, order: Iterable[Expr]) -> None:
        """Give the values that nobody named their letters, with numbers in the order of their lines."""
        self._taken -= {self._names.pop(key) for key in self._unnamed if key in self._names}
        counts = Counter(self._unnamed.values())
        numbers: dict[str, int] = {}
        for node in order:
            letter = self._unnamed.get(id(node))
            if letter is not None and id(node) not in self._names:
                alone = counts[letter] == 1 and letter not in ("t", "G", "g") and letter not in self._taken
                self._names[id(node)] = self.fresh(letter) if alone else self._numbered(letter, numbers)

    def _numbered(self, letter: str, numbers: dict[str, int]) -> str:
        while True:
            numbers[letter] = numbers.get(letter, 0) + 1
            name = f"{letter}{numbers[letter]}"
            if name not in self._taken:
                self._taken.add(name)
                return name


def _is_short(node: Expr, standing: set[int]) -> bool:
    """Tell whether a node is one elementwise operation on names and numbers, or a name transposed or with new axes.

    Activations are not: they are the values that a network is about.
    """
    if node.op in _ACTIVATIONS:
        return False
    plain = isinstance(ROWS[node.op].structure, (Map, Cast)) or _is_index(node)
    return plain and all(id(a) in standing or a.op in LEAVES for a in reads(node))


def _is_index(node: Expr) -> bool:
    """Tell whether a node is written x.T, or with an index that adds or drops axes of size 1."""
    if node.op == "reshape":
        return unit_index(node.args[0].shape, node.shape) is not None
    return node.op == "transpose" and node.ndim == 2


def _is_deeper(operand: Expr, node: Expr) -> bool:
    """Tell whether an operand stands deeper than the node that reads it: the first one of a chain does not."""
    return operand is not node.args[0] or not any({operand.op, node.op} <= ops for ops in _CHAINS)


def _letter(node: Expr) -> str:
    letter = _letter_of_form(node)
    return letter.lower() if node.ndim < 2 else letter


def _letter_of_form(node: Expr) -> str:
    if node.op in _PROBABILITIES:
        return "P"
    if node.op in _ACTIVATIONS:
        return "H"
    if node.dtype.is_float and _is_cotangent(node):
        return "G"
    if node.op == "matmul" or (node.op == "add" and any(a.op == "matmul" for a in node.args)):
        return "Z"
    if node.op == "subtract" and any(_has_product(a) for a in node.args):
        return "R"
    return "t"


def _has_product(node: Expr) -> bool:
    return node.op == "matmul" or (node.op == "add" and any(a.op == "matmul" for a in node.args))


def _is_cotangent(node: Expr) -> bool:
    """Tell whether a step of the chain rule made the node, perhaps before rewrites, as what some operand gets."""
    queue = [node]
    for at in queue:  # grows while it is read
        origins = side.origins(at)
        if any(_passes_on(at, o) for o in origins):
            return True
        whole = [o.source for o in origins if isinstance(o.source, Expr) and o.source.type == node.type]
        queue += whole[: max(0, _FOLLOWED - len(queue))]  # what was made inside of something else is no rewrite of it
    return False


def _passes_on(node: Expr, origin: side.Origin) -> bool:
    """Tell whether a value has the shape of an operand and what came from above in it: other parts of a step are no
    cotangents."""
    above, source = origin.upstream, origin.source
    if above is None or not isinstance(source, Expr) or all(x.shape != node.shape for x in source.args):
        return False
    below = [node]
    for part in below:  # grows while it is read
        if part is above:
            return True
        below += part.args[: max(0, _SEARCHED - len(below))]
    return False


def identifier(name: str) -> str:
    """Give a name as Python can read it: a/b as a_b, a keyword with an underscore behind."""
    plain = re.sub(r"\W", "_", name)
    if keyword.iskeyword(plain):
        return f"{plain}_"
    return plain if plain.isidentifier() else f"_{plain}"


def _dimension_names(order: Iterable[Expr]) -> set[str]:
    found: set[str] = set()
    for node in order:
        for value in (*node.attrs.values(), *getattr(node.type, "shape", ())):
            for size in value if isinstance(value, tuple) else (value,):
                if isinstance(size, Dim):
                    found |= set(map(str, names(size)))
    return found
