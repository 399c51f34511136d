"""What people look at: LaTeX, drawn graphs, derivations, notebooks."""
