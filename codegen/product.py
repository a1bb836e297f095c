"""Product: what all tiles of a product of matrices share.

In: a group whose root is a Contraction with rows and columns. Out: the roles and sizes of its axes, the bindings of the
kernel in the making, and what computes elements of the group. It must not know tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codegen.contraction import Homes, Roles
from codegen.elements import Bindings, Elements
from codegen.group import Group
from codegen.ir import Value
from codegen.panels import LeftPanels
from codegen.reach import extents_of, index_names
from symgrad.dtypes import DType
from symgrad.shape import Size, dim


@dataclass(slots=True, eq=False)
class Product:
    """A product in the making: m and n are the axes of tiles, k the summed one, all others are looped over."""

    group: Group
    home: Homes
    roles: Roles
    width: int  # lanes of a vector
    bindings: Bindings = field(default_factory=Bindings)
    is_long: bool = True  # many tiles follow one another down the rows
    is_packed: bool = False  # panels of `right` are copied
    left: LeftPanels | None = None
    m: int = field(init=False)
    n: int = field(init=False)
    k: Size = field(init=False)
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        assert self.group.root is not None
        self.m, self.n = self.roles.rows[-1], self.roles.columns[-1]
        self.k = 0 if self.roles.summed is None else dim(self.bindings.fresh("k"))
        self.dtype = self.group.root.dtype

    @property
    def rows(self) -> Size:
        """Return the size of m."""
        return self.roles.sizes[self.m]

    @property
    def columns(self) -> Size:
        """Return the size of n."""
        return self.roles.sizes[self.n]

    @property
    def depth(self) -> Size:
        """Return the size of k, 1 where nothing is summed."""
        return 1 if self.roles.summed is None else self.roles.sizes[self.roles.summed]

    @property
    def index(self) -> dict[int, Size]:
        """Map the labels of the result's axes to their indices."""
        return dict(zip(self.roles.out, index_names(self.roles.results), strict=True))

    @property
    def inside(self) -> dict[int, Size]:
        """Map all labels to their indices in the innermost loop."""
        return {**self.index, **({} if self.roles.summed is None else {self.roles.summed: self.k})}

    def elements(self, root: Value | None = None, env: Mapping[str, Size] | None = None) -> Elements:
        """Give what computes elements of the group: with a root, of its epilogue."""
        results = self.roles.results
        extents = extents_of(index_names(results), results)
        value = (lambda _: root) if root is not None else None
        return Elements(self.group, self.home, self.bindings, root=value, env=env, extents=extents)

    def reads_across(self) -> bool:
        """Tell whether neighbours in `right` are summed over: squares of it are then turned where panels are packed."""
        summed = self.roles.summed
        return summed is not None and self.roles.right.stride(summed, self.home) == 1


def fits(size: Size, tile: int) -> bool:
    """Tell whether tiles divide a size."""
    return isinstance(size, int) and size % tile == 0
