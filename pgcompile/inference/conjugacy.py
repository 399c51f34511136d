"""Pairs of factors `p(z) p(c|z)` whose order can be reversed: `p(c) p(z|c)`, with families for both."""

from pgcompile.inference.affine import AffineReader
from pgcompile.inference.conjugate_pairs import CONJUGATE
from pgcompile.inference.gaussian_pairs import GAUSSIAN, reverse_gaussians
from pgcompile.inference.pairs import Named, NoClosedForm, Pair, Reversed, Side


def reverse(prior: Side, likelihood: Side, reader: AffineReader, named: Named) -> Reversed:
    """The two factors in the other order.

    Args:
        prior: `p(z)`.
        likelihood: `p(c|z)`.
        reader: reads parameters of the likelihood as affine maps of z.
        named: gives formulas names.

    Raises:
        NoClosedForm: they are no pair for which that is known.
    """
    pair = Pair(prior, likelihood, reader, named)
    if prior.family in GAUSSIAN and likelihood.family in GAUSSIAN:
        return reverse_gaussians(pair)
    rule = CONJUGATE.get((prior.family, likelihood.family))
    if rule is None:
        raise NoClosedForm(
            f"{prior.label} is {prior.family} and {likelihood.label} is {likelihood.family}, which are not conjugate"
        )
    return rule(pair)
