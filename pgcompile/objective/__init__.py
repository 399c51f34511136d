"""Objective formulas: resolved against the model (without sympy), then rewritten by named rules (with sympy)."""
