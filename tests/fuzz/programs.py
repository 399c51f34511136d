"""Random valid programs: spaces, families with legal parents, nets, products, marginals, renames, objectives."""

from dataclasses import dataclass, field
from random import Random

PRIORS = {
    "real": ["Normal", "Laplace", "StudentT", "Uniform", "Logistic", "Gumbel", "AsymmetricLaplace"],
    "positive": ["Gamma", "LogNormal", "InverseGamma", "Weibull"],
    "nonnegative": ["Exponential", "HalfNormal"],
    "unit_interval": ["Beta", "ContinuousBernoulli", "RelaxedBernoulli", "Kumaraswamy", "LogitNormal"],
    "simplex": ["Dirichlet", "RelaxedOneHotCategorical"],
}
LIKELIHOODS = {
    **PRIORS,
    "real": ["Normal", "Laplace", "StudentT", "Cauchy", "VonMises", "Logistic", "Gumbel", "AsymmetricLaplace"],
    "boolean": ["Bernoulli", "FactorizedBernoulli"],
    "nonnegative_integer": ["Poisson", "Geometric", "NegativeBinomial", "Binomial", "ZeroInflatedPoisson"],
    "category[4]": ["Categorical", "OrderedLogistic"],
    "one_hot": ["OneHotCategorical"],
}
# Families whose entries are scored one by one, as `observed` and the tails need.
ENTRYWISE = ("Normal", "Laplace", "StudentT", "Logistic", "Bernoulli", "Poisson", "Gamma", "Exponential")
TAILED = ("Normal", "Laplace", "Logistic", "Exponential")
DISCRETE = {
    "boolean": ["Bernoulli"],
    "category[4]": ["Categorical"],
    "one_hot": ["OneHotCategorical"],
    "nonnegative_integer": ["Poisson"],
}
# A posterior covers its prior's support: its moments exist.
POSTERIORS = {**PRIORS, **DISCRETE, "real": ["Normal", "Laplace", "StudentT", "Logistic"]}
PARAMETERS = {
    "Normal": [("loc", "real"), ("scale", "positive")],
    "MultivariateNormal": [("loc", "vector"), ("scale_tril", "tril")],
    "Laplace": [("loc", "real"), ("scale", "positive")],
    "StudentT": [("df", "huge"), ("loc", "real"), ("scale", "positive")],
    "Cauchy": [("loc", "real"), ("scale", "positive")],
    "Logistic": [("loc", "real"), ("scale", "positive")],
    "Gumbel": [("loc", "real"), ("scale", "positive")],
    "AsymmetricLaplace": [("loc", "real"), ("scale", "positive"), ("asymmetry", "one")],
    "Weibull": [("scale", "positive"), ("concentration", "big")],
    "Kumaraswamy": [("concentration1", "big"), ("concentration0", "big")],
    "LogitNormal": [("loc", "bounded"), ("scale", "small")],
    "ZeroInflatedPoisson": [("rate", "positive"), ("gate_logits", "real")],
    "OrderedLogistic": [("predictor", "real"), ("cutpoints", "cuts")],
    "VonMises": [("loc", "real"), ("concentration", "positive")],
    "Uniform": [("low", "far below"), ("high", "far above")],
    "Gamma": [("concentration", "big"), ("rate", "positive")],
    "InverseGamma": [("concentration", "huge"), ("rate", "positive")],
    "LogNormal": [("loc", "bounded"), ("scale", "small")],
    "Exponential": [("rate", "positive")],
    "HalfNormal": [("scale", "positive")],
    "Beta": [("concentration1", "big"), ("concentration0", "big")],
    "ContinuousBernoulli": [("logits", "real")],
    "RelaxedBernoulli": [("temperature", "one"), ("logits", "real")],
    "Bernoulli": [("logits", "real")],
    "FactorizedBernoulli": [("logits", "real")],
    "Poisson": [("rate", "positive")],
    "Geometric": [("logits", "real")],
    "NegativeBinomial": [("total_count", "big"), ("logits", "real")],
    "Binomial": [("total_count", "count"), ("logits", "real")],
    "Categorical": [("logits", "vector")],
    "OneHotCategorical": [("logits", "vector")],
    "RelaxedOneHotCategorical": [("temperature", "one"), ("logits", "vector")],
    "Dirichlet": [("concentration", "big_vector")],
}
# Numbers of each kind. Tails heavy enough for an infinite variance would make z-scores meaningless.
NUMBERS = {
    "real": ["0", "0.5", "-1"],
    "positive": ["1", "2", "3.5"],
    "small": ["0.5"],
    "bounded": ["0", "0.5"],
    "big": ["3", "4.5"],
    "huge": ["12"],
    "one": ["1", "0.8"],
    "count": ["40"],
    "far below": ["-60"],
    "far above": ["60"],
    "cuts": ["[-1, 0.5, 1]"],
}


@dataclass
class Variable:
    """A variable and its space."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def sizes(self) -> str:
        return f"[{', '.join(map(str, self.shape))}]" if self.shape else ""

    @property
    def declaration(self) -> str:
        return f"{self.name} : {self.kind}{self.sizes}"


@dataclass
class ProgramMaker:
    """Writes one program, a choice at a time."""

    random: Random
    lines: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    nets: int = 0

    def make(self) -> str:
        pick = self.random
        latents = [self._latent(f"z_{i}") for i in range(pick.randint(1, 3))]
        observed = [self._variable(f"x_{i}", list(LIKELIHOODS)) for i in range(pick.randint(1, 2))]
        self.lines = [v.declaration for v in (*latents, *observed)]
        for i, latent in enumerate(latents):
            self._factor("p", latent, self._some(latents[:i]), {**PRIORS, **DISCRETE})
        smooth = [z for z in latents if z.kind in PRIORS]
        made = [self._deterministic(pick.choice(smooth))] if smooth and pick.random() < 0.25 else []
        for i, x in enumerate(observed):
            some = self._some([*latents, *made])
            self._factor("p", x, some or latents[:1] if i == 0 else some, LIKELIHOODS)
        order = list(latents)
        pick.shuffle(order)
        usable = [x for x in observed if not x.kind.startswith("category") or pick.random() < 0.5]
        for i, latent in enumerate(order):
            self._factor("q", latent, self._some(usable) + self._some(order[:i]), POSTERIORS)
        self._named(latents)
        self._objectives(latents, order, observed)
        pick.shuffle(self.lines)
        return "\n".join(self.lines) + "\n"

    def _latent(self, name: str) -> Variable:
        """Mostly continuous; a discrete one has few values, so that its score function is not all noise."""
        if self.random.random() < 0.75:
            return self._variable(name, list(PRIORS))
        kind = self.random.choice(list(DISCRETE))
        shapes = {"boolean": [(), (2,), (3,), (7,)], "one_hot": [(3,)]}.get(kind, [()])
        return Variable(name, kind, self.random.choice(shapes))

    def _variable(self, name: str, kinds: list[str]) -> Variable:
        kind = self.random.choice(kinds)
        if kind in ("one_hot", "simplex"):
            return Variable(name, kind, self.random.choice([(3,), (2, 3)]))
        return Variable(name, kind, self.random.choice([(), (2,), (3,), (3,), (2, 2)]))

    def _some(self, variables: list[Variable]) -> list[Variable]:
        return [v for v in variables if self.random.random() < 0.6]

    def _deterministic(self, latent: Variable) -> Variable:
        """A variable that is computed from another."""
        made = Variable("d", "real", latent.shape)
        self.lines.append(made.declaration)
        self.lines.append(f"d = {self.random.choice(['2 * {} + 1', 'tanh({})', 'exp(-abs({}))']).format(latent.name)}")
        return made

    def _factor(self, name: str, target: Variable, parents: list[Variable], families: dict[str, list[str]]) -> None:
        options = list(families[target.kind])
        if target.kind == "real" and len(target.shape) == 1:
            options.append("MultivariateNormal")
        if target.kind.startswith("category") and target.shape:
            options = [o for o in options if o != "OrderedLogistic"]
        family = self.random.choice(options)
        given = [f"{p} = {self._parameter(kind, target, parents)}" for p, kind in PARAMETERS[family]]
        bar = f"|{','.join(p.name for p in parents)}" if parents else ""
        label = f"{name}({target.name}{bar})"
        self.labels[f"{name} {target.name}"] = label
        self.parents[f"{name} {target.name}"] = [p.name for p in parents]
        self.families[f"{name} {target.name}"] = family
        if family == "Normal" and len(target.shape) == 1 and self.random.random() < 0.2:
            self._flow(label, given, target)
            return
        if family == "Normal" and self.random.random() < 0.15:
            self._mixture(name, label, given)
            return
        where = ""
        if parents and self.random.random() < 0.2:
            # A value of its own line, which a parameter may then use.
            where = f" where w = {given[0].split(' = ', 1)[1]}"
            given[0] = f"{given[0].split(' = ', 1)[0]} = w"
        self.lines.append(f"{label} = {family}({', '.join(given)}){where}")

    def _flow(self, label: str, given: list[str], target: Variable) -> None:
        """A factor through a flow, whose draws have moments."""
        self.nets += 1
        stages = ["AffineCoupling(hidden = [4])", "ElementwiseAffine", "LULinear", "Planar", "Reverse"]
        stages = [s for s in stages if target.shape[0] > 1 or "Coupling" not in s]
        chosen = " >> ".join(self.random.choice(stages) for _ in range(self.random.randint(1, 3)))
        chosen = f"repeat 2 {{ {chosen} }}" if self.random.random() < 0.3 else chosen
        self.lines.append(f"flow g_{self.nets} = {chosen}")
        self.families[label.split("(")[0] + " " + target.name] = "Flow"
        self.lines.append(f"{label} = Flow(Normal({', '.join(given)}), g_{self.nets})")

    def _mixture(self, name: str, label: str, given: list[str]) -> None:
        """A weighted mean of two Normals of the same parents."""
        inside = label[label.index("(") :]
        weight = self.random.choice(["0.3", "0.5"])
        self.families[f"{name} {inside[1:].split('|')[0].rstrip(')')}"] = "Mixture"
        self.lines.append(f"{name}_a{inside} = Normal({', '.join(given)})")
        self.lines.append(f"{name}_b{inside} = Normal(0.5, 1.5)")
        self.lines.append(f"{label} = {weight} {name}_a{inside} + (1 - {weight}) {name}_b{inside}")

    # --- parameters ---

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
        if kind == "tril":
            return self._tensor("param", "lower_cholesky", (shape[-1], shape[-1]), "eye")
        if kind in ("one", "count", "far below", "far above", "cuts"):
            return pick.choice(NUMBERS[kind])
        choices = ["literal", "param"] + (["net", "net", "scalar"] if parents else [])
        choices += ["constrained"] if kind in ("positive", "small") else []
        match pick.choice(choices):
            case "constrained":
                return self._tensor("param", "positive", shape if pick.random() < 0.5 else (), "0.7")
            case "literal":
                return pick.choice(NUMBERS[kind])
            case "param":
                value = self._tensor(
                    pick.choice(["param", "param", "buffer"]), "real", shape if pick.random() < 0.5 else (), "0.3"
                )
            case "net":
                value = self._net(shape, parents)
            case _:
                value = self._net((), parents)
        landed = {
            "real": value,
            "positive": f"softplus({value} / 4) + 0.2",
            "bounded": f"tanh({value})",
            "small": f"softplus({value} / 4) / 2",
        }
        return landed.get(kind, f"softplus({value}) + {12 if kind == 'huge' else 3}")

    def _tensor(self, what: str, kind: str, shape: tuple[int, ...], initial: str) -> str:
        self.nets += 1
        sizes = f"[{', '.join(map(str, shape))}]" if shape else ""
        self.lines.append(f"{what} w_{self.nets} : {kind}{sizes} = {initial}")
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
        if len(shape) == 1 and self.random.random() < 0.15:
            # A matrix product in place of a net, of one parent that is a vector.
            vectors = [p for p in parents if len(p.shape) == 1 and not p.kind.startswith("category")]
            if vectors:
                chosen = self.random.choice(vectors)
                return f"{chosen.name} @ {self._tensor('param', 'real', (chosen.shape[0], size), 'normal(0.3)')}"
        # Of two numbers LayerNorm makes a step, whose gradient is carried by draws that are never seen.
        wide = sum(max(1, len(p.shape) and p.shape[0]) for p in parents) > 2
        normed = "LayerNorm >> " if wide else "ELU >> "
        middle = self.random.choice(
            ["", "Tanh >> ", "Linear(4) >> Tanh >> ", "Linear(3) >> ELU >> ", normed, "mlp(3, act = SiLU) >> "]
        )
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

    # --- algebra and objectives ---

    def _named(self, latents: list[Variable]) -> None:
        """Marginals and renames, which the program names and objectives need not use."""
        pick = self.random
        childless = [
            z
            for z in latents
            if all(z.name not in self.parents[f"p {w.name}"] for w in latents) and not self.parents[f"p {z.name}"]
        ]
        if len(childless) > 1 and pick.random() < 0.5:
            kept, gone = childless[:2]
            product = f"{self.labels[f'p {kept.name}']} {self.labels[f'p {gone.name}']}"
            self.lines.append(f"r({kept.name}) = {pick.choice(['int', '∫'])} {product} d{gone.name}")
        if pick.random() < 0.3:
            target = pick.choice(latents)
            parents = self.parents[f"p {target.name}"]
            if not parents:
                self.lines.append(f"u : {target.kind}{target.sizes}")
                self.lines.append(f"s(u) = {self.labels[f'p {target.name}']}[{target.name} -> u]")

    def _objectives(self, latents: list[Variable], order: list[Variable], observed: list[Variable]) -> None:
        pick = self.random
        # The sum of one number a data point would be over the batch.
        counted = [z for z in latents if not z.kind.startswith("category")]
        sums = " + ".join(f"sum({z.name})" if z.shape else z.name for z in counted) or "1"
        smooth = all(z.kind in PRIORS for z in latents)
        joint = " ".join(self.labels[f"q {z.name}"] for z in order)
        bounds = [
            "ELBO[p || q]",
            "E_q[log p - log q]",
            "E_q[log p] + H[q]",
            "E_q[log p] - KL[q || p]",
            f"E_q[log p + {sums}] - 2 * H[q]",
            f"E_q[log p] - 0.5 * KL[q || p] + E_q[{sums}]",
            f"max(E_q[tanh({sums})], -3) - KL[q || p]",
            "E_{" + joint + "; samples = 3}[log p - log q]",
            "E_{" + joint + "; samples = 2}[log p] + H[q]",
            "E_q[log p] - beta * KL[q || p]",
        ]
        bounds += [
            "IWAE[p || q; samples = 3]",
            "log E_{" + joint + "; samples = 2}[exp(log p - log q)]",
            "ELBO[p || q; grad = score, samples = 3]",
        ]
        if not any(
            self.parents[f"q {z.name}"] and {w.name for w in latents} & {*self.parents[f"q {z.name}"]} for z in latents
        ):
            bounds += ["IWAE[p || q; samples = 3, grad = dreg]", "ELBO[p || q; grad = stl]"] if smooth else []
        bound = pick.choice(bounds)
        if "beta" in bound:
            self.lines.append("input beta : positive")
        self.lines.append(f"bound = {bound}")
        extra = ["E_q[log p]", "Jeffreys[q || p]"] if not any(self.parents[f"p {z.name}"] for z in latents) else []
        mixed = "Mixture" in {self.families[f"{side} {z.name}"] for side in "pq" for z in latents}
        extra += ["W[q || p]", "SW[q || p]"] if smooth and not mixed else []
        if smooth and not mixed and any(w.startswith("x") for z in latents for w in self.parents[f"q {z.name}"]):
            extra.append("MMD[q || p]")
        extra += ["KL[q || p]", "CE[q || p]", "H[q]", f"E_q[{sums}]", "2 * bound - 1", "detach(bound)"]
        extra += self._words(latents, observed)
        self.lines.append(f"other = {pick.choice(extra)}")
        self.lines.append(f"maximize bound using {pick.choice(['Adam', 'SGD'])}(lr = 0.01)")

    def _words(self, latents: list[Variable], observed: list[Variable]) -> list[str]:
        """Objectives with nets, norms, other rows of the batch, missing entries and tails."""
        found = []
        x = self.random.choice(observed)
        label = self.labels[f"p {x.name}"]
        smooth = [z for z in latents if z.kind in PRIORS]
        if smooth and x.kind == "real" and len(x.shape) == 1:
            net = self._net(x.shape, self._some(smooth) or smooth[:1])
            found += [f"E_q[||{x.name} - {net}||^2]", f"E_q[sum(|{x.name} - {net}|)]", f"E_q[tanh(norm({net}))]"]
        if self.families[f"p {x.name}"] in ENTRYWISE:
            behind = label.removeprefix(f"p({x.name}").removesuffix(")")
            found += [f"E_q[log p(observed({x.name}){behind})]"]
            if self.families[f"p {x.name}"] in TAILED:
                found += [f"E_q[survival(p({x.name}{behind}))]", f"E_q[log cdf({label})]"]
            if self.parents[f"p {x.name}"]:
                found.append(f"E_q[{label.replace('p(', 'log p(')} - log mean_{{{x.name}'}} p({x.name}'{behind})]")
        return found


def random_program(seed: int) -> str:
    """The program of a seed."""
    return ProgramMaker(Random(seed)).make()
