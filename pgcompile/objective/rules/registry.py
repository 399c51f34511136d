"""The rules for the expectation over a drawn variable, in the order in which they are tried."""

from pgcompile.objective.rules.closed_form import CLOSED_FORM
from pgcompile.objective.rules.moments import MOMENTS
from pgcompile.objective.rules.rule import Rule

EXPECTATION_RULES: tuple[Rule, ...] = (CLOSED_FORM, MOMENTS)
