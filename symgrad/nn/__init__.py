"""Networks in terms of expressions: initializers, layers, losses, metrics, optimizers.

In: what a network is made of, in the habits of Keras. Out: expressions, parameters and update equations: nothing here
runs. Models and their training loop are in `train/`. It must not know how an expression is compiled.
"""

from symgrad.nn import activations, initializers, layers, losses, metrics, optim
from symgrad.nn.initializers import parameter

__all__ = ["activations", "initializers", "layers", "losses", "metrics", "optim", "parameter"]
