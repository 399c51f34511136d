"""The words of the language, each stated once with all its facts.

Families and functionals are a file each; spaces, functions, layers and optimizers are a row each; the facts of
transforms are read from the text of their classes in `pgcompile/runtime/transforms/`. `CONTRIBUTING.md` says what a new
word costs. Nothing here imports torch; sympy is imported only where a family's formulas are asked for.
"""
