"""Checks of factors, a file for what is checked; `pgcompile.typing.factors` finds them by the kind of factor."""
