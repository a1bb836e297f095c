"""The look at emitted code sees what it is for; `conftest.py` takes it at every module of the whole suite."""

import numpy as np
import pytest
from conftest import forbidden

import symgrad as sg
from codegen import jit


@pytest.mark.parametrize(
    "line",
    [
        "  %y = fadd fast <16 x float> %a, %b",
        "  %y = fmul nnan nsz double %a, %b",
        "  %y = call contract float @llvm.fma.f32(float %a, float %b, float %c)",
        "  %y = ptrtoint ptr %p to i64",
        "  %y = call float @llvm.exp.f32(float %x)",
        "  %y = call <8 x double> @llvm.tanh.v8f64(<8 x double> %x)",
        "  %y = call double @llvm.pow.f64(double %x, double %y)",
        "  %y = frem float %x, %y",
    ],
)
def test_what_is_forbidden_is_seen(line):
    assert forbidden(f"define void @f() {{\n{line}\n  ret void\n}}\n") == line


@pytest.mark.parametrize(
    "line",
    [
        "  %y = call float @llvm.fma.f32(float %a, float %b, float %c)",
        "  %contract.1 = call double @llvm.sqrt.f64(double %x)",
        "  %fast = call <16 x float> @llvm.fabs.v16f32(<16 x float> %x)",
    ],
)
def test_what_is_allowed_is_not(line):
    assert forbidden(f"define void @f() {{\n{line}\n  ret void\n}}\n") is None


def test_the_suite_is_read(monkeypatch):
    read = []
    audited = jit._optimized
    monkeypatch.setattr(jit, "_optimized", lambda text, target: read.append(text) or audited(text, target))
    x = sg.symbol("x", (5,))
    sg.function([x], sg.tanh(x) * 1.2345678)(np.ones(5))
    assert audited.__name__ == "audited"
    assert any("define" in text for text in read)
