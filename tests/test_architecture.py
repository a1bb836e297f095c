"""The house has one direction: who may import whom, read from the source with `ast`.

A module may import only what stands above it in TABLE, or left of it in the same line. A new module is one word there.
"""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import symgrad
import symgrad.ops

ROOT = Path(__file__).resolve().parents[1]

# One line per row, lowest first. `ops/` is a package whose modules may import one another (but not in a circle); a
# module of a package may stand alone, before the rest of it.
TABLE = """
    0 symgrad late started errors forks structures dtypes options buffers philox seeds
    1 symgrad interval polynomial atoms dimension division indexing shape notation formula
    2 symgrad side surface expr
    3 symgrad ops.structure ops.row ops/ serial
    4 symgrad pattern rewrite held rules/ simplifier request support reverse forward batch vectorise boundary
    4 symgrad interpreter regions linalg
    5 symgrad show/ drawing/ chainrule/
    6 symgrad nn/
    6 symgrad __init__
    7 codegen machine
    7 codegen ir notation signature scratch text tokens parse verify meaning lanes
    7 codegen vecmath_tables vecmath_exp vecmath_log vecmath_erf vecmath_trig vecmath_gamma vecmath_root vecmath_sigmoid
    7 codegen vecmath weight
    7 codegen dims operand scalars philox reach group arrange guards
    7 codegen elements rename ahead nest reduction folds contraction panels product tile gemm dots
    7 codegen pieces item orders factors sequential lower forms
    7 codegen cost expand
    7 codegen memory poison program walk
    7 codegen writer address arith access turn evaluate emit object_file jit store objects driver threads
    7 codegen executable step weave rows graph_key packing dump entry
    7 codegen pipeline tally places kernel peak __init__
    8 symgrad inspection.subject bisection inspection/ outputs declared compiled train/
    9 symgrad exhibits page cli __main__
"""
CODEGEN_MAY_IMPORT = range(4)  # the ranks of symgrad that codegen knows
DOORS = {  # a foreign library enters by these modules only
    "sympy": {"symgrad.formula", "symgrad.ops.derive"},
    "llvmlite": {"codegen.emit", "codegen.jit", "codegen.machine"},
}
# Public callables: a module of that name would take the callable's place as soon as it is imported.
CALLABLES = {
    *("dim", "symbol", "parameter", "constant", "elementwise", "assume", "checkpoint", "stop_gradient"),
    *("custom_gradient", "grad", "value_and_grad", "vjp", "jvp", "jacobian", "hessian", "hvp", "vmap", "simplify"),
    *("evaluate", "set_seed", "pprint", "latex", "srepr", "derivation", "graph", "explorer", "function"),
    *("to_categorical", "Sequential", "Model"),
}


@dataclass(frozen=True)
class Import:
    """An import statement: its target's full name, and where it stands."""

    target: str
    line: int
    inside: bool  # in a function


def full_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


PATHS = {full_name(path): path for package in ("symgrad", "codegen") for path in sorted((ROOT / package).rglob("*.py"))}
TREES = {module: ast.parse(path.read_text(encoding="utf8")) for module, path in PATHS.items()}


def targets(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    """Name what is imported: the module behind `from package import name` if there is one, else the package."""
    if isinstance(node, ast.Import):
        return [own(alias.name) for alias in node.names]
    base = node.module or ""
    if node.level:
        base = ".".join(module.split(".")[: -node.level] + ([node.module] if node.module else []))
    return [own(f"{base}.{alias.name}") if is_own(f"{base}.{alias.name}") else own(base) for alias in node.names]


def is_late(node: ast.AST) -> bool:
    """Tell whether a node is a call of `late`, which imports a module at its first use."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "late"


def is_own(name: str) -> bool:
    return name in PATHS or f"{name}.__init__" in PATHS


def own(name: str) -> str:
    return f"{name}.__init__" if f"{name}.__init__" in PATHS else name


def imports(module: str) -> list[Import]:
    """List the imports of a module that happen when it runs, if only later: not those for type checkers."""

    def walk(node: ast.AST, inside: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                yield from (Import(target, child.lineno, inside) for target in targets(child, module))
            elif is_late(child):
                yield Import(ast.literal_eval(child.args[0]), child.lineno, inside)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for statement in child.orelse:
                    yield from walk(ast.Module([statement], []), inside)
            else:
                yield from walk(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    return list(walk(TREES[module], False))


IMPORTS = {module: imports(module) for module in PATHS}


def places() -> dict[str, tuple[int, int, int]]:
    """Map each word of TABLE, with its package before it, to (rank, line, column)."""
    lines = enumerate(TABLE.split("\n"))
    rows = [(line, text.split()) for line, text in lines if text.strip()]
    return {
        f"{package}.{word}": (int(rank), line, column)
        for line, (rank, package, *words) in rows
        for column, word in enumerate(words)
    }


PLACES = places()


def place(module: str) -> tuple[int, int, int]:
    """Return a module's place: its own word, else that of its package; fail for one that has neither."""
    parts = module.split(".")
    packages = [".".join(parts[:end]) + "/" for end in range(len(parts) - 1, 0, -1)]
    for name in [module, *packages]:
        if name in PLACES:
            return PLACES[name]
    pytest.fail(f"{module} has no rank: add it to TABLE in tests/test_architecture.py (and to docs/architecture.md)")


def broken(rule) -> list[str]:
    return [
        f"{PATHS[module].relative_to(ROOT)}:{found.line} imports {found.target}"
        for module in PATHS
        for found in IMPORTS[module]
        if rule(module, found)
    ]


def test_every_module_has_a_rank():
    assert PATHS
    assert all(place(module) for module in PATHS)


def test_imports_go_one_way():
    def against(module, found):
        if found.target not in PATHS or found.target == module:
            return False
        (_, line, column), (_, to_line, to_column) = place(module), place(found.target)
        return (to_line, to_column) > (line, column)

    assert broken(against) == []


def test_codegen_knows_only_the_lower_ranks():
    def too_high(module, found):
        own_target = found.target in PATHS and module.startswith("codegen.") and found.target.startswith("symgrad.")
        return own_target and place(found.target)[0] not in CODEGEN_MAY_IMPORT

    assert broken(too_high) == []


def test_there_are_no_circles():
    graph = {module: {found.target for found in IMPORTS[module]} & (set(PATHS) - {module}) for module in PATHS}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("modules import each other: " + " <- ".join(error.args[1]))


def test_our_own_modules_are_imported_at_the_top():
    assert broken(lambda module, found: found.inside and found.target in PATHS) == []
    by_name = [
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if getattr(node, "attr", getattr(node, "id", None)) in ("import_module", "__import__")
    ]
    assert set(by_name) <= {"symgrad.__init__", "symgrad.late"}, "what loads by name is hidden from these tests"


LATE = [(module, node) for module, tree in TREES.items() for node in ast.walk(tree) if is_late(node)]


def test_what_is_imported_late_exists():
    assert LATE
    for module, call in LATE:
        target, name = map(ast.literal_eval, call.args)
        assert target in PATHS, f"{module} imports {target}"
        assert name in {node.name for node in ast.walk(TREES[target]) if isinstance(node, ast.FunctionDef)}, name


@pytest.mark.parametrize("library", DOORS)
def test_foreign_libraries_enter_by_their_doors(library):
    def elsewhere(module, found):
        return found.target.split(".")[0] == library and module not in DOORS[library]

    assert broken(elsewhere) == []


def test_sympy_is_loaded_at_the_first_call():
    assert broken(lambda _, found: found.target.split(".")[0] == "sympy" and not found.inside) == []


def test_no_module_bears_the_name_of_a_public_callable():
    children = {module.split(".")[1] for module in PATHS if module.startswith("symgrad.")}
    assert children & CALLABLES == set()


ANY_ORDER = """
import importlib, random, sys
import symgrad
seed, callables, modules = int(sys.argv[1]), sys.argv[2].split(), sys.argv[3].split()
random.Random(seed).shuffle(modules)
for module in modules:
    importlib.import_module(module)
for name in symgrad.__all__:
    for use in ("first", "second"):
        value = getattr(symgrad, name)
        assert name not in callables or callable(value), f"{use} use of symgrad.{name} gives {value!r}"
"""


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_public_names_survive_imports_in_any_order(seed):
    modules = [module.removesuffix(".__init__") for module in PATHS if not module.endswith("__main__")]
    arguments = [str(seed), " ".join(sorted(CALLABLES)), " ".join(modules)]
    command = [sys.executable, "-W", "error", "-c", ANY_ORDER, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_type_checkers_see_every_public_name():
    """What is imported at its first use stands in the stub, or a type checker does not know it."""
    stub = (Path(symgrad.__file__).with_name("__init__.pyi")).read_text(encoding="utf8")
    lazy = set(symgrad.__all__) - set(symgrad.ops.__all__)
    assert [name for name in sorted(lazy) if not re.search(rf"\bimport (\w+ as )?{name}\b", stub)] == []
