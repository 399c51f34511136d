"""The words of the language: spaces, families, layers and functions, each stated once as facts.

Adding a word touches one file here and no other. Nothing here imports torch; sympy is imported only where a
family's formulas are asked for.
"""
