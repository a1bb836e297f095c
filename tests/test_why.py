"""`expr.why()`: the user's line, the step of the chain rule and the rewrites behind every node of a gradient."""

import gc

import pytest
from derivation_cases import PROGRAMS, deep_network, derived, run, transformer_block
from formulas import EQUATIONS

import symgrad as sg
from symgrad import side
from symgrad.chainrule.why import built_at
from symgrad.expr import interned_count, topological

x, W, v = sg.symbol("x", (5, 3)), sg.symbol("W", (3, 4)), sg.symbol("why_v", (3,))


def gradient_of_network(name="W1"):
    scope = run("network")
    return scope, sg.grad(scope["loss"], scope[name])


def test_a_value_of_the_forward_computation():
    scope = run("network")
    reason = scope["H"].why()
    assert [str(site) for site in reason.sites] == ["net.py:7"]
    assert (reason.step, reason.source, reason.rewrites) == ("", None, ())
    assert str(reason).split("\n")[1] == "built at net.py:7"


def test_every_node_of_a_gradient_knows_its_step_or_its_line():
    loss, wrt = transformer_block()
    for gradients in (sg.grad(loss, wrt), *(list(equations().values()) for equations in EQUATIONS.values())):
        for node in (node for node in topological(gradients) if node.args and node.free_symbols):
            reason = node.why()
            assert reason.step or reason.sites, str(reason)


def test_the_result_leads_back_to_the_product_that_was_differentiated():
    scope, gradient = gradient_of_network()
    reason = gradient.why()
    assert reason.step == "matmul[1]"
    assert reason.source.args[0] is scope["X"]
    assert [str(site) for site in reason.sites] == ["net.py:6"]
    assert "scale_contraction" in reason.rewrites
    assert reason.upstream.shape == scope["Z1"].shape


def test_what_a_step_makes_beside_its_result_knows_the_step():
    scope, gradient = gradient_of_network()
    by_op = {node.op: node for node in topological([gradient])}
    assert by_op["greater"].why().step == "relu[0]"
    assert by_op["greater"].why().source is scope["H"]
    transposes = [node.why() for node in topological([gradient]) if node.op == "transpose"]
    assert {reason.step for reason in transposes} == {"matmul[0]", "matmul[1]"}
    assert all(reason.upstream is not None for reason in transposes)


def test_uses_that_add_up():
    gradient = sg.grad(sg.sum(sg.exp(x) * sg.sin(x)), x, simplify=False)
    reason = gradient.why()
    assert reason.step == "sum over uses"
    assert reason.source is x


def test_rewrites_without_a_gradient():
    before = sg.log(sg.softmax(x @ W))
    reason = sg.simplify(before).why()
    assert reason.rewrites == ("log_softmax",)
    assert reason.sites == side.sites(before)
    assert reason.step == ""


def test_second_derivatives():
    slope = sg.grad(sg.sum(sg.tanh(v)), v)
    reason = sg.grad(sg.sum(slope * slope), v).why()
    assert reason.step
    assert built_at(reason.source) or reason.source.why().step


def test_leaves_and_numbers():
    assert str(v.why()).startswith("why_v, float32(3,): symbol\nbuilt at test_why.py:")
    assert sg.grad(sg.sum(v), v).why().step == "sum[0]"


def test_errors_say_where_a_gradient_comes_from():
    _, gradient = gradient_of_network()
    with pytest.raises(sg.ShapeError, match=r"comes from the chain rule at X @ W1, net\.py:6"):
        gradient + sg.symbol("q", (3, 3))


def test_a_long_history_is_followed_a_bounded_way():
    loss, parameters = deep_network(40)
    for gradient in sg.grad(loss, parameters):
        assert gradient.why().step


def test_recording_leaves_nothing_behind():
    def rounds():
        for name in PROGRAMS:
            derivation = derived(name)
            assert str(derivation)
            assert derivation.html
            assert derivation.check(points=1)
            step = derivation.steps[-1]
            assert str(sg.grad(derivation.account.loss.node, step.value.node).why())
        gc.collect()
        return interned_count()

    first = rounds()
    assert rounds() <= first


def test_what_the_user_keeps_does_not_keep_gradients_alive():
    scope = run("network")
    kept = scope["X"].T
    gc.collect()
    count = interned_count()
    for _ in range(3):
        sg.grad(scope["loss"], scope["W1"])
    gc.collect()
    once = interned_count()
    for _ in range(20):
        sg.grad(scope["loss"], scope["W1"])
        sg.grad(scope["loss"] * 2, scope["W1"])
    gc.collect()
    assert interned_count() <= once + (once - count) + 60
    assert kept.shape[0] == 784
