"""What the values of a derivation are called: one name for each, from the first step to the last.

In: an account. Out: for the formulas of each step who has which name, and which names are new there. Names are the
user's, those of symbols and parameters, else the letters that `naming` gives; `dH` is the derivative with respect to H.
It must not know how a step is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from symgrad import side
from symgrad.chainrule.steps import Account, Value
from symgrad.expr import Expr
from symgrad.shape import names as names_in_size
from symgrad.show.compounds import reading_order
from symgrad.show.naming import Names, identifier
from symgrad.show.wording import Writer

__all__ = ["Aliases"]


class Aliases:
    """Names for the symbols of an account, and for what formulas give a line."""

    def __init__(self, account: Account) -> None:
        values = [*account.given, *(step.value for step in account.steps)]
        nodes = [value.node for value in values if value.node.args]
        chosen = {id(node): name for node, name in account.names.items()}
        roots = [*nodes, *nodes, account.stable.node, account.loss.node]  # what is read twice gets a letter
        found = Names(roots, {}, chosen)
        by_node = {value.node: value for value in values if value.node.args}
        self._taken = {name for node in found.order for name in _sizes(node)}
        self._names: dict[Expr, str] = {}
        self._lets: dict[Expr, str] = {}
        for node in (node for node in found.order if not node.args and found.of(node) is not None):
            self._names[node] = self.fresh(found.of(node) or "")
        for node in (v.symbol for v in values if v.formula is None and v.symbol not in self._names):
            self._names[node] = self.fresh(identifier(node.attrs["name"]))  # no formula shows it
        for node in (node for node in found.order if node in by_node):
            if by_node[node] is not account.stable:
                self._names[by_node[node].symbol] = self.fresh(found.of(node) or "t1")
        stable = account.stable.symbol
        is_leaf = account.stable.formula is None
        leaf = self._names.get(stable) if is_leaf and account.loss.node is account.stable.node else None
        self.loss = leaf or self.fresh(side.name_of(account.loss.node) or "loss")
        if not is_leaf or leaf is not None:
            self._names[stable] = self.loss
        self._upstream = {step.value.symbol: step.upstream for step in account.steps}
        for step in account.steps:
            self._names[step.upstream] = self.fresh(f"d{self.of(step.value)}")

    def of(self, value: Value | Expr) -> str:
        """Give the name of a value, or of a symbol that stands for something."""
        return self._names[value.symbol if isinstance(value, Value) else value]

    def upstream_of(self, value: Value) -> Expr:
        """Give the symbol that stands for the derivative with respect to a value."""
        return self._upstream[value.symbol]

    def known(self, node: Expr) -> str | None:
        """Give the name of a node, if it has one."""
        return self._names.get(node, self._lets.get(node))

    def fresh(self, wanted: str) -> str:
        """Reserve a name: the wanted one, or that with the next free number."""
        name, stem, number = wanted, re.sub(r"\d+$", "", wanted), 1
        while name in self._taken:
            number += 1
            name = f"{stem}{number}" if len(stem) == 1 else f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def speaker(self, roots: Sequence[Expr], own: Mapping[Expr, str] | None = None) -> tuple[Writer, list[Expr]]:
        """Give who can write these formulas, and the values in them that have had no name before.

        `own` are the names that roots are defined under.
        """
        below = reading_order(roots)
        given = {id(node): self._lets[node] for node in below if node in self._lets}
        given.update({id(node): name for node, name in (own or {}).items()})
        chosen = {id(node): self._names[node] for node in below if node in self._names}
        names = Names(roots, given, chosen)
        new = [node for node in names.lines if id(node) not in given]
        for node in new:
            self._lets[node] = self.fresh(names.of(node) or "t")
        given.update({id(node): self._lets[node] for node in new})
        return Writer(Names(roots, given, chosen) if new else names), new


def _sizes(node: Expr) -> list[str]:
    """List the names of the dimensions in a node's shape."""
    return sorted(str(name) for size in getattr(node.type, "shape", ()) for name in names_in_size(size))
