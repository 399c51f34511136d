"""`python -m pgcompile` is `pgc`."""

from pgcompile.cli import main

main()
