"""What a program declares, as values: variables, factors, nets, tensors, distributions, objectives."""
