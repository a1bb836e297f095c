"""What `symgrad` exports, for type checkers: the names that `__init__.py` imports at their first use are here too."""

from symgrad import linalg as linalg
from symgrad.chainrule.derivation import derivation as derivation
from symgrad.compiled import Function as Function
from symgrad.compiled import function as function
from symgrad.drawing.figure import graph as graph
from symgrad.errors import CompileError as CompileError
from symgrad.errors import DTypeError as DTypeError
from symgrad.errors import FormatError as FormatError
from symgrad.errors import GradientError as GradientError
from symgrad.errors import IndexRangeError as IndexRangeError
from symgrad.errors import ShapeError as ShapeError
from symgrad.errors import SymgradError as SymgradError
from symgrad.expr import Expr as Expr
from symgrad.expr import Parameter as Parameter
from symgrad.forward import hvp as hvp
from symgrad.forward import jvp as jvp
from symgrad.interpreter import evaluate as evaluate
from symgrad.nn import initializers as initializers
from symgrad.nn import layers as layers
from symgrad.nn import losses as losses
from symgrad.nn import metrics as metrics
from symgrad.nn import optim as optim
from symgrad.nn.initializers import parameter as parameter
from symgrad.ops import *  # noqa: F403
from symgrad.ops.custom import elementwise as elementwise
from symgrad.options import Options as Options
from symgrad.page import explorer as explorer
from symgrad.regions import checkpoint as checkpoint
from symgrad.regions import custom_gradient as custom_gradient
from symgrad.reverse import grad as grad
from symgrad.reverse import value_and_grad as value_and_grad
from symgrad.reverse import vjp as vjp
from symgrad.seeds import set_seed as set_seed
from symgrad.show import format_equations as format_equations
from symgrad.show import latex as latex
from symgrad.show import pprint as pprint
from symgrad.show import srepr as srepr
from symgrad.simplifier import simplify as simplify
from symgrad.train import datasets as datasets
from symgrad.train.labels import to_categorical as to_categorical
from symgrad.train.model import Model as Model
from symgrad.train.sequential import Sequential as Sequential
from symgrad.vectorise import hessian as hessian
from symgrad.vectorise import jacobian as jacobian
from symgrad.vectorise import vmap as vmap

__version__: str
