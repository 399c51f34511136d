"""How distributions combine: products, marginals and posteriors, exactly where that is known."""
