"""The reach of a sum over an index: over all that carries the index behind it, as papers write it.

`sum_t w_t * log p(x_t)` and `sum_t E_q[f_t] - KL[q_t || p_t]` have no other reading: what stands behind would be at no
place.
"""

from collections.abc import Callable
from dataclasses import replace

from pgcompile.syntax import tree

Carries = Callable[[tree.Node, str], bool]
"""True if a formula speaks of a variable at a place of an index, outside of sums over it."""


def reached(node: tree.Expr, carries: Carries) -> tree.Expr:
    """A product or a sum in which each sum over an index has what carries it behind it."""
    match node:
        case tree.Product(factors):
            for at, factor in enumerate(factors[:-1]):
                if isinstance(factor, tree.OverIndex) and any(carries(f, factor.index.id) for f in factors[at + 1 :]):
                    body = tree.Product((factor.body, *factors[at + 1 :]), span=node.span)
                    whole = replace(factor, body=body)
                    return replace(node, factors=(*factors[:at], whole)) if at else whole
        case tree.Sum(terms):
            for at, (sign, term) in enumerate(terms[:-1]):
                behind = terms[at + 1 :]
                # A factor before the sum would weigh what stands behind it: only a bare sum reaches.
                if not isinstance(term, tree.OverIndex) or not any(carries(t, term.index.id) for _, t in behind):
                    continue
                inside = tree.Sum(((1, term.body), *((sign * s, t) for s, t in behind)), span=node.span)
                whole = replace(term, body=inside)
                if at:
                    return replace(node, terms=(*terms[:at], (sign, whole)))
                return tree.Negative(whole, span=node.span) if sign < 0 else whole
    return node
