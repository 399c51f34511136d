"""p(k) p(x|k), compiled by pgcompile 0.1.0 from a program."""

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


def mixture_of(choice: D.Categorical, component: D.Distribution) -> D.Distribution:
    """Components along the last batch dimension, and the chance of each."""
    shape = torch.broadcast_shapes(choice.logits.shape, component.batch_shape)
    choice, component = choice.expand(shape[:-1]), component.expand(shape)
    return D.MixtureSameFamily(choice, component, validate_args=False)


def expand_rows(table: Tensor, batch: tuple) -> Tensor:
    """The rows of a table repeated over a batch: [rows, *batch, ...]."""
    rows, *rest = table.shape
    ones = table.reshape(rows, *(1 for _ in batch), *rest)
    return ones.expand(rows, *batch, *rest)


def weigh(probs: Tensor, value: Tensor) -> Tensor:
    """probs * value, and 0 where a probability is 0, whatever the value is there."""
    return probs * torch.where(probs > 0, value, 0.0)


def bernoulli_cross_entropy(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """-log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return entropy.sum(tuple(range(-rank, 0))) if rank else entropy


def bernoulli_log_prob(logits: Tensor, x: Tensor, rank: int = 1) -> Tensor:
    """log Bernoulli(x; logits), summed over the last `rank` dimensions; both broadcast."""
    logits, x = torch.broadcast_tensors(logits, x)
    entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -entropy.sum(tuple(range(-rank, 0))) if rank else -entropy


@torch.no_grad()
def store(name: str, tensor: Tensor, value, inverse=torch.positive) -> None:
    """Give a tensor a value in place; `inverse` finds the free numbers that are stored."""
    try:
        given = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be numbers, not {value!r}") from None
    if given.is_complex():
        raise TypeError(f"{name} must be real numbers, not {given.dtype}")
    given = given.to(tensor)
    if given.ndim and given.shape != tensor.shape:
        raise ValueError(f"{name} has shape {[*tensor.shape]}, not {[*given.shape]}")
    free = inverse(given.expand(tensor.shape))
    if not bool(free.isfinite().all()):
        raise ValueError(f"{name} must lie inside its space")
    tensor.copy_(free)


class Mixture(nn.Module):
    """p(k) p(x|k); x: boolean[64], k: category[10]."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((10,), 0.0))
        self.prototypes = nn.Parameter(nn.init.normal_(torch.empty((10, 64)), 0.0, 1.0))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def likelihood(self, x: Tensor) -> Tensor:
        """log p(x); x: [..., 64] -> [...]."""
        x = take(self, "likelihood", x=(x, (64,)))
        # log p(x|k)
        logits = expand_rows(self.prototypes, x.shape[:-1])
        cross_entropy = bernoulli_cross_entropy(logits, x)
        # log p(x): the sum over k
        lifted = self.weights.log_softmax(-1).reshape(-1, *(1 for _ in x.shape[:-1]))
        return (lifted - cross_entropy).logsumexp(0)

    def certainty(self, x: Tensor) -> Tensor:
        """E_{p(k|x)}[log p(k|x)]; x: [..., 64] -> [...]."""
        x = take(self, "certainty", x=(x, (64,)))
        # log p(k)
        log_probs = self.weights.log_softmax(-1)
        log_p_k = expand_rows(log_probs, x.shape[:-1])
        log_p_x = bernoulli_log_prob(expand_rows(self.prototypes, x.shape[:-1]), x)
        # log p(x): the sum over k
        lifted = log_probs.reshape(-1, *(1 for _ in x.shape[:-1]))
        log_sum_k = (lifted + log_p_x).logsumexp(0)
        total = log_p_k + log_p_x
        # weighted by p(k) p(x|k)
        probs = (total - log_sum_k).exp()
        return weigh(probs, total).sum(0) - log_sum_k

    def loss(self, x: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of likelihood."""
        return -self.likelihood(x).mean()

    def terms(self, x: Tensor) -> dict:
        """Every named term, in one pass."""
        x = take(self, "terms", x=(x, (64,)))
        # log p(k)
        log_probs = self.weights.log_softmax(-1)
        log_p_k = expand_rows(log_probs, x.shape[:-1])
        log_p_x = bernoulli_log_prob(expand_rows(self.prototypes, x.shape[:-1]), x)
        # log p(x): the sum over k
        lifted = log_probs.reshape(-1, *(1 for _ in x.shape[:-1]))
        log_sum_k = (lifted + log_p_x).logsumexp(0)
        total = log_p_k + log_p_x
        # weighted by p(k) p(x|k)
        probs = (total - log_sum_k).exp()
        return {
            "likelihood": log_sum_k,
            "certainty": weigh(probs, total).sum(0) - log_sum_k,
        }

    def sample(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Draw from p(k) p(x|k); variables in `given` are held fixed."""
        variables = {"k": ((), (), range(10)), "x": ((64,), ("k",))}
        shape, held = hold(self, shape, given, variables)
        k = held["k"] if "k" in held else self.p_k().sample(shape)
        x = held["x"] if "x" in held else self.p_x_given_k(k).sample()
        return {"k": k, "x": x}

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(k) p(x|k); variables in `given` are held fixed."""
        variables = {"k": ((), (), range(10)), "x": ((64,), ("k",))}
        shape, held = hold(self, shape, given, variables)
        k = held["k"] if "k" in held else self.p_k().mode.expand(shape)
        x = held["x"] if "x" in held else self.p_x_given_k(k).mean
        return {"k": k, "x": x}

    def log_prob(self, x: Tensor, k: Tensor) -> Tensor:
        """log p(k) p(x|k); x: [..., 64], k: [...] -> [...]."""
        x, k = take(self, "log_prob", x=(x, (64,)), k=(k, (), range(10)))
        log_p_k = self.weights.log_softmax(-1)[k]
        cross_entropy = bernoulli_cross_entropy(self.prototypes[k], x, 0)
        return log_p_k - cross_entropy.sum(-1)

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        if str(name).replace(" ", "") == "p(x)":
            return self.likelihood(**values)
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked, k=range(10))

    def p_k(self) -> D.Distribution:
        """p(k) = Categorical(logits=weights)."""
        return D.Categorical(logits=self.weights, validate_args=False)

    def p_x_given_k(self, k: Tensor) -> D.Distribution:
        """p(x|k) = Bernoulli(logits=prototypes[k])."""
        k = take(self, "p(x|k)", k=(k, (), range(10)))
        bernoulli = D.Bernoulli(logits=self.prototypes[k], validate_args=False)
        return D.Independent(bernoulli, 1)

    def p_k_given_x(self, x: Tensor) -> D.Distribution:
        """p(k|x), by the values of k."""
        x = take(self, "p(k|x)", x=(x, (64,)))
        log_p_k = expand_rows(self.weights.log_softmax(-1), x.shape[:-1])
        # log p(x|k)
        logits = expand_rows(self.prototypes, x.shape[:-1])
        cross_entropy = bernoulli_cross_entropy(logits, x)
        difference = log_p_k - cross_entropy
        return D.Categorical(logits=difference.movedim(0, -1), validate_args=False)

    def p_x(self) -> D.Distribution:
        """p(x), a mixture of Bernoulli."""
        log_p_k = expand_rows(self.weights.log_softmax(-1), ())
        choice = D.Categorical(logits=log_p_k.movedim(0, -1), validate_args=False)
        component = D.Bernoulli(
            logits=expand_rows(self.prototypes, ()).movedim(0, -2),
            validate_args=False,
        )
        component = D.Independent(component, 1)
        return mixture_of(choice, component)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(k)": self.p_k,
            "p(x|k)": self.p_x_given_k,
            "p(k|x)": self.p_k_given_x,
            "p(x)": self.p_x,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def get(self, name: str) -> Tensor:
        """A param or buffer by its name."""
        tensors = {"weights": self.weights, "prototypes": self.prototypes}
        if name not in tensors:
            raise KeyError(f"{name} is not one of {', '.join(tensors)}")
        return tensors[name]

    def set(self, name: str, value) -> None:
        """Give a param or buffer a value."""
        store(name, self.get(name), value)

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for likelihood."""
        return [torch.optim.Adam(self.parameters(), lr=0.01, fused=fused)]

    def train_step(self, optimizers: list, x: Tensor) -> dict:
        """One optimizer step on -likelihood; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}


# What is said of calls that are wrong.


def out_of_range(value: Tensor, allowed) -> int | None:
    """A whole number that is not allowed; None where reading it would wait, or fail."""
    if not value.is_cpu or torch.compiler.is_compiling():
        return None
    try:
        ends = [int(end) for end in value.aminmax()]
    except RuntimeError:  # there is none, or it is one of many under vmap
        return None
    return next((n for n in ends if not allowed[0] <= n <= allowed[-1]), None)


def take_one(like: Tensor, said: str, value, shape: tuple, kind=None) -> Tensor:
    """A dense real tensor that ends in `shape`, in a module's dtype and on its device.

    The kind of its numbers is "float", "int64", or the range of a category's values.
    """
    real = isinstance(value, Tensor) and not value.is_complex()
    if not real or value.layout is not torch.strided:
        is_tensor = isinstance(value, Tensor)
        got = f"{value.dtype} ({value.layout})" if is_tensor else type(value)
        raise TypeError(f"{said} must be a dense real tensor, not {got}")
    size = tuple(value.shape)
    if size[max(len(size) - len(shape), 0) :] != shape:
        raise ValueError(f"{said} ends in {shape}, not {size}")
    if kind is not None and value.is_floating_point() is (kind != "float"):
        wanted = "float" if kind == "float" else "int64"
        raise TypeError(f"{said} must be {wanted}, not {value.dtype}")
    if isinstance(kind, range) and (found := out_of_range(value, kind)) is not None:
        raise ValueError(f"{said} must lie in {kind[0]}..{kind[-1]}, not {found}")
    if value.is_meta and not like.is_meta:
        raise ValueError(f"{said} is on meta, the module on {like.device}")
    if kind is None or kind == "float":
        return value.to(like)
    return value.to(like.device, torch.int64)


def broadcast_batches(formula: str, batch: dict) -> tuple:
    """The shape that batch shapes, by variable, broadcast to."""
    first, *others = [*batch.values()] or [()]
    if all(size == first for size in others):
        return first
    try:
        return torch.broadcast_shapes(*batch.values())
    except RuntimeError:
        said = ", ".join(f"{name} {tuple(size)}" for name, size in batch.items())
    said = f"the batch shapes of {said} in {formula} do not broadcast together"
    raise ValueError(said)


def take_each(module, formula: str, variables: dict) -> tuple:
    """Variables as `take_one` gives them, each of its event shape, and the batch shapes."""
    found, batch = [], {}
    for name, (value, shape, *kind) in variables.items():
        value = take_one(module._like, f"{name} of {formula}", value, shape, *kind)
        found.append(value)
        batch[name] = tuple(value.shape)[: value.ndim - len(shape)]
    return found, batch


def take(module, formula: str, /, **variables):
    """Variables in a module's dtype and on its device; their batches must broadcast."""
    found, batch = take_each(module, formula, variables)
    broadcast_batches(formula, batch)
    return found if len(found) > 1 else found[0]


def log_prob_under(module, name: str, found, values: dict, /, **kinds) -> Tensor:
    """Log-density of a factor's variables; `kinds` has the ranges of categories."""
    (first, value), *more = values.items()
    known = {first: (value, tuple(found.event_shape), kinds.get(first))}
    (value,), batch = take_each(module, name, known)
    if not more:
        broadcast_batches(name, {**batch, "its parents": tuple(found.batch_shape)})
    return found.log_prob(value, *(v for _, v in more))


def values_of(given: dict | None) -> dict:
    """What a sampler is given, by name."""
    if given is not None and not hasattr(given, "items"):
        raise TypeError(f"given must be a dict of tensors by name, not {given!r}")
    return given or {}


def shape_of_draws(shape) -> tuple:
    """The batch shape of draws: a number, or several."""
    try:
        return torch.empty(shape, device="meta").shape
    except (TypeError, RuntimeError):
        said = "shape must be a number of draws or a tuple of such, not"
    raise TypeError(f"{said} {shape!r}")


def hold(module, shape: tuple, given: dict | None, variables: dict) -> tuple:
    """Check and expand what is given; `variables`: event shape, parents, kind."""
    shape, given, held, batch = shape_of_draws(shape), values_of(given), {}, {}
    for name, value in given.items():
        if name not in variables:
            raise KeyError(f"{name} is not one of {', '.join(variables)}")
        event, above, *kind = variables[name]
        if missing := {*above} - given.keys():
            raise ValueError(f"{name} is given, but {min(missing)} above it is not")
        held[name] = take_one(module._like, f"{name} in given", value, event, *kind)
        batch[name] = tuple(value.shape[: value.ndim - len(event)])
    shape = (*shape, *broadcast_batches("given", batch))
    return shape, {n: v.expand((*shape, *variables[n][0])) for n, v in held.items()}
