"""Formulas that are surely no number, told by their text: spaces are not settled yet when names are."""

from dataclasses import dataclass, field

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.model.factors import base_name
from pgcompile.syntax import tree
from pgcompile.vocabulary.functions import FUNCTIONS

_NUMBERS = ("reduce", "last", "place", "norm", "dot", "trace", "log_det", "einsum")
_ENTRY_BY_ENTRY = ("elementwise", "binary", "clamp", "compare", "where")
"""The shapes of functions whose value is a number where their argument is a vector."""


@dataclass
class Shapes:
    """Judges the shapes of a program's formulas before its spaces are known.

    Args:
        state: the declarations so far.
    """

    state: DeclarationPass
    _vectors: dict[str, bool] = field(default_factory=dict)
    _plain: dict[str, bool] = field(default_factory=dict)

    def is_vector(self, name: str) -> bool:
        """True if a formula speaks of variables and nets only, and is not a number."""
        if name not in self._vectors:
            self._vectors[name] = False  # a ring is none; it is reported where it is used
            expr, _ = self.state.formulas[name]
            self._vectors[name] = self.is_plain(expr) and not self.is_number(expr)
        return self._vectors[name]

    def is_plain(self, expr: tree.Expr) -> bool:
        """True if no distribution and no objective is in an expression."""
        factors = {factor.name for factor in self.state.factors.values()}
        known = {*factors, *(base_name(name) for name in factors), *(d.name for d in self.state.definitions), "data"}
        for node in tree.walk(expr):
            match node:
                case tree.Expectation() | tree.Functional() | tree.Integral() | tree.Rename():
                    return False
                case tree.Call(name=name, given=given):
                    local = name in self.state.model.nets or name in FUNCTIONS
                    if given is not None or (not local and name in known):
                        return False
                case tree.Name(id) if id in self.state.model.variables:
                    pass
                case tree.Name(id) if id in self.state.formulas:
                    if not self._is_plain_name(id):
                        return False
                case tree.Name(id) if id in known:
                    return False
                case _:
                    pass
        return True

    def _is_plain_name(self, name: str) -> bool:
        """True if a formula is plain; a ring of formulas is an objective's, where it is reported."""
        if name not in self._plain:
            self._plain[name] = False
            self._plain[name] = self.is_plain(self.state.formulas[name][0])
        return self._plain[name]

    def is_number(self, expr: tree.Expr) -> bool:
        """True if the value of an expression may be one number."""
        match expr:
            case tree.Name(id):
                return self._is_number_name(id)
            case tree.Call(name=name) if name in self.state.model.nets:
                return False
            case tree.Call(name=name, args=args):
                function = FUNCTIONS.get(name)
                if function is None or function.shape in _NUMBERS:
                    return True
                inner = [self.is_number(a.value) for a in args if a.name is None]
                if function.shape == "gradient":
                    return all(inner[1:])
                return function.shape in _ENTRY_BY_ENTRY and all(inner)
            case tree.Index():
                return True
            case tree.ListLiteral() | tree.TupleLiteral():
                return False
            case tree.Where(tree.Name(), (tree.Binding((_, _, *_), whole),)):
                return self.is_number(whole)  # a part of several
            case tree.Where(value):
                return self.is_number(value)
            case tree.MatMul():
                return True
            case _:
                return all(self.is_number(part) for part in tree.children(expr))  # type: ignore[arg-type]

    def _is_number_name(self, name: str) -> bool:
        model = self.state.model
        if name in model.tensors:
            return not model.tensors[name].space.shape
        if name in model.spaces:
            return not model.spaces[name].shape
        if name in self.state.formulas:
            return not self.is_vector(name)
        return True
