"""Combination of distributions: products, marginals and posteriors, exactly where that is known."""
