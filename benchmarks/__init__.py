"""Measurements behind every figure in the README; run alone on a quiet machine."""
