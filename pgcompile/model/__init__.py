"""Values that a program declares: variables, factors, nets, tensors, distributions, objectives."""
