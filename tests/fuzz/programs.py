"""Random valid programs: spaces, families with legal parents, nets, products, renames, objectives."""

from dataclasses import dataclass, field
from random import Random

PRIORS = {
    "real": ["Normal", "Laplace", "StudentT"],
    "positive": ["Gamma", "LogNormal", "InverseGamma"],
    "unit_interval": ["Beta", "ContinuousBernoulli"],
}
LIKELIHOODS = {
    **PRIORS,
    "boolean": ["Bernoulli", "FactorizedBernoulli"],
    "nonnegative_integer": ["Poisson", "Geometric", "NegativeBinomial"],
    "category[4]": ["Categorical"],
    "one_hot": ["OneHotCategorical"],
    "simplex": ["Dirichlet"],
}
PARAMETERS = {
    "Normal": [("loc", "real"), ("scale", "positive")],
    "Laplace": [("loc", "real"), ("scale", "positive")],
    "StudentT": [("df", "huge"), ("loc", "real"), ("scale", "positive")],
    "Gamma": [("concentration", "big"), ("rate", "positive")],
    "InverseGamma": [("concentration", "huge"), ("rate", "positive")],
    "LogNormal": [("loc", "real"), ("scale", "small")],
    "Beta": [("concentration1", "big"), ("concentration0", "big")],
    "ContinuousBernoulli": [("logits", "real")],
    "Bernoulli": [("logits", "real")],
    "FactorizedBernoulli": [("logits", "real")],
    "Poisson": [("rate", "positive")],
    "Geometric": [("logits", "real")],
    "NegativeBinomial": [("total_count", "big"), ("logits", "real")],
    "Categorical": [("logits", "vector")],
    "OneHotCategorical": [("logits", "vector")],
    "Dirichlet": [("concentration", "big_vector")],
}


@dataclass
class Variable:
    """A variable and its space."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def declaration(self) -> str:
        sizes = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        return f"{self.name} : {self.kind}{sizes}"


@dataclass
class ProgramMaker:
    """Writes one program, a choice at a time."""

    random: Random
    lines: list[str] = field(default_factory=list)
    nets: int = 0

    def make(self) -> str:
        pick = self.random
        latents = [self._variable(f"z_{i}", list(PRIORS)) for i in range(pick.randint(1, 3))]
        observed = [self._variable(f"x_{i}", list(LIKELIHOODS)) for i in range(pick.randint(1, 2))]
        self.lines = [v.declaration for v in (*latents, *observed)]
        for i, latent in enumerate(latents):
            self._factor("p", latent, self._some(latents[:i]), PRIORS)
        for i, x in enumerate(observed):
            self._factor("p", x, self._some(latents) or latents[:1] if i == 0 else self._some(latents), LIKELIHOODS)
        order = list(latents)
        pick.shuffle(order)
        usable = [x for x in observed if not x.kind.startswith("category") or pick.random() < 0.5]
        for i, latent in enumerate(order):
            self._factor("q", latent, self._some(usable) + self._some(order[:i]), PRIORS)
        self._objectives(latents)
        pick.shuffle(self.lines)
        return "\n".join(self.lines) + "\n"

    def _variable(self, name: str, kinds: list[str]) -> Variable:
        kind = self.random.choice(kinds)
        if kind in ("one_hot", "simplex"):
            return Variable(name, kind, self.random.choice([(3,), (2, 3)]))
        return Variable(name, kind, self.random.choice([(), (2,), (3,), (3,), (2, 2)]))

    def _some(self, variables: list[Variable]) -> list[Variable]:
        return [v for v in variables if self.random.random() < 0.6]

    def _factor(self, name: str, target: Variable, parents: list[Variable], families: dict[str, list[str]]) -> None:
        family = self.random.choice(families[target.kind])
        given = [f"{p} = {self._parameter(kind, target, parents)}" for p, kind in PARAMETERS[family]]
        bar = f"|{','.join(p.name for p in parents)}" if parents else ""
        self.lines.append(f"{name}({target.name}{bar}) = {family}({', '.join(given)})")

    def _parameter(self, kind: str, target: Variable, parents: list[Variable]) -> str:
        """An expression of the parents that lands in the parameter's constraint."""
        pick = self.random
        shape = target.shape
        if kind.endswith("vector"):
            width = 4 if target.kind.startswith("category") else shape[-1]
            shape = (*shape, 4) if target.kind.startswith("category") else shape
            if not parents or pick.random() < 0.3:
                return f"[{', '.join(str(pick.choice([0.5, 1, 2, 3])) for _ in range(width))}]"
            value = self._net(shape, parents)
            return value if kind == "vector" else f"softplus({value}) + 1"
        choices = ["literal", "param"] + (["net", "net", "scalar"] if parents else [])
        match pick.choice(choices):
            case "literal":
                # Tails heavy enough for an infinite variance would make the z-scores meaningless.
                numbers = {"real": ["0", "0.5", "-1"], "small": ["0.5"], "big": ["3", "4.5"], "huge": ["12"]}
                return pick.choice(numbers.get(kind, ["1", "2", "3.5"]))
            case "param":
                value = self._param(shape if pick.random() < 0.5 else ())
            case "net":
                value = self._net(shape, parents)
            case _:
                value = self._net((), parents)
        landed = {"real": value, "positive": f"exp({value} / 4)", "small": f"softplus({value} / 4) / 2"}
        return landed.get(kind, f"softplus({value}) + {12 if kind == 'huge' else 3}")

    def _param(self, shape: tuple[int, ...]) -> str:
        self.nets += 1
        sizes = f"[{', '.join(map(str, shape))}]" if shape else ""
        self.lines.append(f"param w_{self.nets} : real{sizes} = 0.3")
        return f"w_{self.nets}"

    def _net(self, shape: tuple[int, ...], parents: list[Variable]) -> str:
        """A net of all parents, flattened and joined, shaped like the parameter."""
        self.nets += 1
        size = 1
        for n in shape:
            size *= n
        parts = []
        for parent in parents:
            text = f"one_hot({parent.name})" if parent.kind.startswith("category") else parent.name
            rank = len(parent.shape) + parent.kind.startswith("category")
            parts.append(self._flat(text, rank))
        middle = self.random.choice(["", "Tanh >> ", "Linear(4) >> Tanh >> ", "Linear(3) >> ELU >> "])
        end = f" >> Unflatten(({', '.join(map(str, shape))}))" if len(shape) > 1 else ""
        self.lines.append(f"net f_{self.nets} = {middle}Linear({size}){end}")
        call = f"f_{self.nets}({', '.join(parts)})"
        return f"{call}[0]" if not shape else call

    def _flat(self, text: str, rank: int) -> str:
        """A value as a vector: scalars through a list of ones, matrices through a net of their own."""
        if rank == 1:
            return text
        if rank == 0:
            return f"({text} * [1, 0.5])"
        self.nets += 1
        self.lines.append(f"net flat_{self.nets} = Flatten")
        return f"flat_{self.nets}({text})"

    def _objectives(self, latents: list[Variable]) -> None:
        pick = self.random
        # The sum of one number a data point would be over the batch.
        sums = " + ".join(f"sum({z.name})" if z.shape else z.name for z in latents)
        bounds = [
            "ELBO[p || q]",
            "E_q[log p - log q]",
            "E_q[log p] + H[q]",
            "E_q[log p] - KL[q || p]",
            f"E_q[log p + {sums}] - 2 * H[q]",
            f"E_q[log p] - 0.5 * KL[q || p] + E_q[{sums}]",
            f"max(E_q[{sums}], -3) - KL[q || p]",
        ]
        self.lines.append(f"bound = {pick.choice(bounds)}")
        extra = ["KL[q || p]", "CE[q || p]", "H[q]", f"E_q[{sums}]", "2 * bound - 1", "detach(bound)"]
        self.lines.append(f"other = {pick.choice(extra)}")
        self.lines.append("maximize bound using Adam(lr = 0.01)")


def random_program(seed: int) -> str:
    """The program of a seed."""
    return ProgramMaker(Random(seed)).make()
