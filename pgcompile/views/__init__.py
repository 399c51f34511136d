"""Views of a program: LaTeX, drawn graphs, derivations, notebooks."""
