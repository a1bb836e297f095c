"""PyTorch as a second referee, where it is installed: `python -m benchmarks.referee` compares everything."""

import pytest

pytest.importorskip("torch")

# After the check, since they import torch.
from benchmarks import referee, referee_choices, referee_functions, referee_networks

# Importing parts of PyTorch makes it warn of itself.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


def test_every_row_is_compared_or_has_a_reason_for_not_being():
    assert referee.misplaced() == []


@pytest.mark.parametrize("name", ["tanh", "var", "matmul", "scatter_add", "cholesky", "sort"])
def test_rows_agree(name):
    for record in referee.compare_rows([name]):
        record.check()
        assert record.faults == []
        assert record.comparisons > 0


COMPOSITES = (*referee_functions.FUNCTIONS, *referee_networks.COMPOSITES)


@pytest.mark.parametrize("entry", COMPOSITES, ids=lambda entry: entry.name)
def test_composites_agree(entry):
    record = referee.compare_composite(entry)
    record.check()
    assert record.faults == []


@pytest.mark.parametrize("entry", referee_choices.CHOICES, ids=lambda entry: entry.name)
def test_choices_are_the_recorded_ones(entry):
    ours, theirs = referee.compare_choice(entry)
    assert (ours != theirs) == bool(entry.reason)
