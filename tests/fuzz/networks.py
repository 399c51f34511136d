"""Random networks of finite and Gaussian variables, against enumeration and joint Gaussian algebra in numpy.

`python -m tests.fuzz.networks FIRST LAST` runs it over many seeds; what is refused with a code is counted.
"""

import inspect
import itertools
import random
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

import pgcompile as pgc
from pgcompile.diagnostics import CompileError

Array = np.ndarray


@dataclass
class Finite:
    """A category: its states, its finite parents, and a table of probabilities over both."""

    name: str
    states: int
    parents: list["Finite"]
    table: Array


@dataclass
class Gaussian:
    """A normal vector: location `offset[k] + sum W_p p`, scale `scale[k]`, of a finite parent k or none.

    `dense` says that its scale is the Cholesky factor of a full covariance.
    """

    name: str
    size: int
    switch: Finite | None
    parents: list["Gaussian"]
    weights: list[Array]
    offset: Array
    scale: Array


@dataclass
class Network:
    """The variables in an order in which parents come first, and those that are observed."""

    finite: list[Finite] = field(default_factory=list)
    normal: list[Gaussian] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        return [v.name for v in (*self.finite, *self.normal)]


def random_network(seed: int) -> Network:
    """A network of at most three finite and three Gaussian variables."""
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    found = Network()
    for i in range(chance.randint(0, 3)):
        parents = [p for p in found.finite if chance.random() < 0.5]
        states = chance.randint(2, 3)
        shape = (*(p.states for p in parents), states)
        table = numbers.dirichlet(np.ones(states), size=shape[:-1]) if parents else numbers.dirichlet(np.ones(states))
        found.finite.append(Finite(f"k{i}", states, parents, table.reshape(shape)))
    for i in range(chance.randint(0 if found.finite else 1, 3)):
        size = chance.choice([1, 1, 2, 3])
        switch = chance.choice([None, *found.finite])
        parents = [p for p in found.normal if chance.random() < 0.6]
        rows = switch.states if switch else 1
        found.normal.append(
            Gaussian(
                f"x{i}",
                size,
                switch,
                parents,
                [numbers.normal(size=(size, p.size)) for p in parents],
                numbers.normal(size=(rows, size)),
                np.exp(0.5 * numbers.normal(size=(rows, size))),
            )
        )
    names = found.names
    found.seen = set(chance.sample(names, chance.randint(1, len(names))))
    return found


def numbers_text(values: Array) -> str:
    if values.ndim == 0:
        return repr(float(values))
    return "[" + ", ".join(numbers_text(v) for v in values) + "]"


def program_of(net: Network, seed: int) -> str:
    """The network as a program, with the marginal of what is seen and the posterior of the rest."""
    chance = random.Random(seed + 1)
    lines, factors = [], []
    for k in net.finite:
        lines.append(f"{k.name} : category[{k.states}]")
    for x in net.normal:
        lines.append(f"{x.name} : real[{x.size}]")
    for k in net.finite:
        label = f"p({k.name}{'|' if k.parents else ''}{', '.join(p.name for p in k.parents)})"
        if k.parents:
            lines.append(f"buffer t_{k.name} : real[{', '.join(map(str, k.table.shape))}] = {numbers_text(k.table)}")
            probs = f"t_{k.name}[{', '.join(p.name for p in k.parents)}]"
        else:
            probs = numbers_text(k.table)
        lines.append(f"{label} = Categorical(probs = {probs})")
        factors.append(label)
    for x in net.normal:
        given = [*([x.switch] if x.switch else []), *x.parents]
        label = f"p({x.name}{'|' if given else ''}{', '.join(p.name for p in given)})"
        lines.append(f"buffer o_{x.name} : real[{', '.join(map(str, x.offset.shape))}] = {numbers_text(x.offset)}")
        lines.append(f"buffer s_{x.name} : positive[{', '.join(map(str, x.scale.shape))}] = {numbers_text(x.scale)}")
        row = f"[{x.switch.name}]" if x.switch else "[0]"
        terms = [f"o_{x.name}{row}"]
        for parent, weight in zip(x.parents, x.weights, strict=True):
            name = f"w_{x.name}_{parent.name}"
            lines.append(f"buffer {name} : real[{x.size},{parent.size}] = {numbers_text(weight)}")
            terms.append(f"{name} @ {parent.name}")
        chance.shuffle(terms)
        lines.append(f"{label} = Normal({' + '.join(terms)}, s_{x.name}{row})")
        factors.append(label)
    chance.shuffle(factors)
    hidden = [name for name in net.names if name not in net.seen]
    seen = [name for name in net.names if name in net.seen]
    product = " ".join(factors)
    left = f"p({', '.join(seen)})"
    if hidden:
        finite = [k.name for k in net.finite if k.name in hidden]
        normal = [x.name for x in net.normal if x.name in hidden]
        body = f"∫ {product} {' '.join(f'd{n}' for n in normal)}" if normal else product
        sums = f"sum_{{{', '.join(finite)}}} " if len(finite) > 1 else f"sum_{finite[0]} " if finite else ""
        lines.append(f"{left} = {sums}{f'({body})' if normal and sums else body}")
        lines.append(f"l = log {left}")
        if chance.random() < 0.7:
            posterior = f"p({', '.join(hidden)}|{', '.join(seen)})"
            lines.append(f"{posterior} = {product} / {left}")
            lines.append(f"post = log {posterior}")
    else:
        lines.append(f"l = log {product}")
    if asked := asked_of(net):
        rest = [n for n in hidden if n != asked.name]
        finite = [k.name for k in net.finite if k.name in rest]
        normal = [x.name for x in net.normal if x.name in rest]
        body = f"(∫ {product} {' '.join(f'd{n}' for n in normal)})" if normal else product
        sums = f"sum_{{{', '.join(finite)}}} " if len(finite) > 1 else f"sum_{finite[0]} " if finite else ""
        posterior = f"p({asked.name}|{', '.join(seen)})"
        if rest:
            lines.append(f"{posterior} = ({sums}{body}) / {left}")
        elif not any(line.startswith(posterior) for line in lines):
            lines.append(f"{posterior} = {product} / {left}")
        lines.append(f"buffer u : real[{asked.states}] = {numbers_text(np.arange(asked.states) ** 2 + 0.5)}")
        lines.append(f"mean_u = E_{{{posterior}}}[u[{asked.name}]]")
        lines.append(f"entropy = H[{posterior}]")
    return "\n".join(lines) + "\n"


def asked_of(net: Network) -> Finite | None:
    """The first finite variable that is not seen: what its posterior expects is asked for too."""
    return next((k for k in net.finite if k.name not in net.seen), None)


def log_normal(x: Array, mean: Array, covariance: Array) -> float:
    if not len(x):
        return 0.0
    _, log_det = np.linalg.slogdet(covariance)
    away = x - mean
    return float(-0.5 * (away @ np.linalg.solve(covariance, away) + log_det + len(x) * np.log(2 * np.pi)))


def log_probability(net: Network, values: dict[str, Array], known: set[str]) -> float:
    """log of the joint density of the variables in `known`, the others summed and integrated out."""
    free = [k for k in net.finite if k.name not in known]
    totals = []
    for states in itertools.product(*(range(k.states) for k in free)):
        state = {k.name: int(values[k.name]) for k in net.finite if k.name in known}
        state |= {k.name: s for k, s in zip(free, states, strict=True)}
        total = sum(np.log(k.table[(*(state[p.name] for p in k.parents), state[k.name])]) for k in net.finite)
        sizes = [x.size for x in net.normal]
        starts = dict(zip((x.name for x in net.normal), np.cumsum([0, *sizes])[:-1], strict=True))
        width = sum(sizes)
        mean, map_of = np.zeros(width), np.zeros((width, width))
        for x in net.normal:
            at = slice(starts[x.name], starts[x.name] + x.size)
            row = state[x.switch.name] if x.switch else 0
            mean[at] = x.offset[row]
            map_of[at, at] = np.diag(x.scale[row])
            for parent, weight in zip(x.parents, x.weights, strict=True):
                source = slice(starts[parent.name], starts[parent.name] + parent.size)
                mean[at] += weight @ mean[source]
                map_of[at] += weight @ map_of[source]
        covariance = map_of @ map_of.T
        index = [i for x in net.normal if x.name in known for i in range(starts[x.name], starts[x.name] + x.size)]
        seen = [values[x.name] for x in net.normal if x.name in known]
        point = np.concatenate(seen) if seen else np.zeros(0)
        totals.append(total + log_normal(point, mean[index], covariance[np.ix_(index, index)]))
    return float(np.logaddexp.reduce(totals))


def expected(net: Network, at: dict[str, Array], evidence: float, what: str) -> float:
    """The posterior mean of u, or the entropy of the posterior, of the variable that is asked for."""
    asked = asked_of(net)
    assert asked is not None
    known = {*net.seen, asked.name}
    logs = [log_probability(net, {**at, asked.name: np.asarray(s)}, known) - evidence for s in range(asked.states)]
    weights = np.exp(logs)
    return float(weights @ (np.arange(asked.states) ** 2 + 0.5 if what == "mean_u" else -np.asarray(logs)))


def check_network(seed: int) -> str | None:
    """A fault that a random network shows; "refused" where the compiler says that it is not exact."""
    net = random_network(seed)
    text = program_of(net, seed)
    try:
        program = pgc.compile(text)
    except CompileError as error:
        codes = {d.code for d in error.diagnostics if d.code.startswith("PGC")}
        return "refused" if codes <= {"PGC214", "PGC404"} else f"{sorted(codes)}\n{error}\n{text}"
    module = program.Model().double()
    numbers = np.random.default_rng(seed + 2)
    rows = 3
    values = {k.name: numbers.integers(0, k.states, rows) for k in net.finite}
    values |= {x.name: numbers.normal(size=(rows, x.size)) for x in net.normal}
    tensors = {name: torch.as_tensor(value) for name, value in values.items()}
    hidden = [name for name in net.names if name not in net.seen]
    everything = {*net.names}
    for method in ("l", "post", "mean_u", "entropy"):
        if not hasattr(module, method):
            continue
        wanted = inspect.signature(getattr(module, method)).parameters
        found = getattr(module, method)(**{name: tensors[name] for name in wanted})
        for row in range(rows):
            at = {name: value[row] for name, value in values.items()}
            true = log_probability(net, at, net.seen if hidden else everything)
            if method == "post":
                true = log_probability(net, at, everything) - true
            elif method in ("mean_u", "entropy"):
                true = expected(net, at, true, method)
            value = float(found.expand(rows)[row])
            if not abs(value - true) < 1e-6 * (1 + abs(true)):
                return f"{method} is {value}, and truly {true}\n{text}"
    return None


def main() -> None:
    """Check many networks, and print what is wrong."""
    warnings.simplefilter("ignore")
    first, last = int(sys.argv[1]), int(sys.argv[2])
    refused = wrong = 0
    for seed in tqdm(range(first, last), disable=not sys.stderr.isatty()):
        try:
            fault = check_network(seed)
        except Exception as error:  # noqa: BLE001  # any exception is the fault that is looked for
            fault = f"{type(error).__name__}: {error}\n{program_of(random_network(seed), seed)}"
        refused += fault == "refused"
        if fault not in (None, "refused"):
            wrong += 1
            print(f"seed {seed}: {fault}", flush=True)
    print(f"{last - first} networks, {refused} refused, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
