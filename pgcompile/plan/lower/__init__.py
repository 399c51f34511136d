"""Terms become values of a plan."""
