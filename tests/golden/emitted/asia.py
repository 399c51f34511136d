"""p(asia) p(smoke) p(tub|asia) p(lung|smoke) ..., compiled by pgcompile 0.1.0 from a program."""

import torch
import torch.distributions as D
import torch.nn.functional as F
from torch import Tensor, nn


class TableOf:
    """A joint distribution by its table of `index`, `boolean` or `one_hot` variables."""

    event_shape = torch.Size()

    def __init__(self, logits: Tensor, **variables: str) -> None:
        self.variables = variables
        self.sizes = logits.shape[logits.ndim - len(variables) :]
        flat = logits.flatten(logits.ndim - len(variables))
        self.joint = D.Categorical(logits=flat, validate_args=False)

    @property
    def probs(self) -> Tensor:
        """The table of probabilities."""
        return self.joint.probs.unflatten(-1, self.sizes)

    def sample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> dict:
        """A joint draw: every variable by its name."""
        values = torch.unravel_index(self.joint.sample(sample_shape), self.sizes)
        found = dict(zip(self.variables, values, strict=True))
        for size, (name, kind) in zip(self.sizes, self.variables.items(), strict=True):
            if kind == "one_hot":
                found[name] = torch.nn.functional.one_hot(found[name], size)
            if kind != "index":
                found[name] = found[name].to(self.joint.logits.dtype)
        return found

    def log_prob(self, *args: Tensor, **values: Tensor) -> Tensor:
        """Log-probability of values of all the variables, in their order or by name."""
        if args:
            values = dict(zip(self.variables, args, strict=True))
        if values.keys() != self.variables.keys():
            raise KeyError(f"give {', '.join(self.variables)}")
        index = torch.zeros_like(self.joint.logits[..., 0], dtype=torch.long)
        for size, (name, kind) in zip(self.sizes, self.variables.items(), strict=True):
            value = values[name].argmax(-1) if kind == "one_hot" else values[name]
            index = index * size + value.long()
        return self.joint.log_prob(index)


def draw_of(distribution, shape: tuple = ()) -> Tensor:
    """A draw of a distribution, as often as the shape says."""
    return distribution.sample(shape)


def mean_of(distribution, shape: tuple = ()) -> Tensor:
    """The mean of a distribution, repeated as often as the shape says."""
    return (mean := distribution.mean).expand((*shape, *mean.shape))


def every_state(like: Tensor, base: int, shape: tuple, batch: tuple, index=False):
    """All values of a variable of `base` values an entry: [states, *batch, *shape]."""
    count = torch.Size(shape).numel()
    digits = torch.arange(base**count, device=like.device).unsqueeze(-1)
    places = base ** torch.arange(count, device=like.device)
    values = (digits // places % base).reshape(-1, *(1 for _ in batch), *shape)
    values = values.expand(-1, *batch, *shape)
    return values if index else values.to(like.dtype)


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


class Asia(nn.Module):
    """p(asia) p(smoke) ...; asia, tub, smoke, lung, bronc, xray, dysp: boolean."""

    def __init__(self) -> None:
        super().__init__()
        self.smokers = nn.Parameter(torch.full((), 0.0))
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def evidence(self, xray: Tensor, dysp: Tensor) -> Tensor:
        """log p(xray, dysp); xray, dysp: [...] -> [...]."""
        xray, dysp = take_all(self, "evidence", xray=(xray, ()), dysp=(dysp, ()))
        return self._log_joint(xray, dysp).logsumexp((0, 1, 2))

    def loss(self, xray: Tensor, dysp: Tensor) -> Tensor:
        """The scalar to minimise: minus the batch mean of evidence."""
        return -self.evidence(xray, dysp).mean()

    def terms(self, xray: Tensor, dysp: Tensor) -> dict:
        """Every named term."""
        return {"evidence": self.evidence(xray, dysp)}

    def sample(self, shape: tuple = (), given: dict | None = None, by=draw_of) -> dict:
        """Draw from p(asia) p(smoke) ...; variables in `given` are held fixed."""
        variables = {
            "asia": ((), ()),
            "smoke": ((), ()),
            "tub": ((), ("asia",)),
            "lung": ((), ("smoke",)),
            "bronc": ((), ("smoke",)),
            "xray": ((), ("tub", "lung")),
            "dysp": ((), ("tub", "lung", "bronc")),
        }
        shape, held = hold(self, shape, given, variables)
        asia = held["asia"] if "asia" in held else by(self.p_asia(), shape)
        smoke = held["smoke"] if "smoke" in held else by(self.p_smoke(), shape)
        tub = held["tub"] if "tub" in held else by(self.p_tub_given_asia(asia))
        lung = held["lung"] if "lung" in held else by(self.p_lung_given_smoke(smoke))
        if (bronc := held.get("bronc")) is None:
            bronc = by(self.p_bronc_given_smoke(smoke))
        if (xray := held.get("xray")) is None:
            xray = by(self.p_xray_given_tub_lung(tub, lung))
        if (dysp := held.get("dysp")) is None:
            dysp = by(self.p_dysp_given_tub_lung_bronc(tub, lung, bronc))
        return {
            "asia": asia,
            "smoke": smoke,
            "tub": tub,
            "lung": lung,
            "bronc": bronc,
            "xray": xray,
            "dysp": dysp,
        }

    def sample_mean(self, shape: tuple = (), given: dict | None = None) -> dict:
        """Propagate means through p(asia) ...; variables in `given` are held fixed."""
        return self.sample(shape, given, mean_of)

    def log_prob(
        self,
        asia: Tensor,
        tub: Tensor,
        smoke: Tensor,
        lung: Tensor,
        bronc: Tensor,
        xray: Tensor,
        dysp: Tensor,
    ) -> Tensor:
        """log p(asia) p(smoke) p(tub|asia) p(lung|smoke) p(bronc|smoke)
        p(xray|tub,lung) p(dysp|tub,lung,bronc);
        asia, tub, smoke, lung, bronc, xray, dysp: [...] -> [...].
        """
        asia, tub, smoke, lung, bronc, xray, dysp = take(
            self,
            "log_prob",
            asia=(asia, ()),
            tub=(tub, ()),
            smoke=(smoke, ()),
            lung=(lung, ()),
            bronc=(bronc, ()),
            xray=(xray, ()),
            dysp=(dysp, ()),
        )
        log_p_asia = -0.010050335853501442 * (1.0 - asia) - 4.605170185988092 * asia
        log_p_smoke = bernoulli_log_prob(self.smokers, smoke, 0)
        logits_tub = 1.6506808709681495 * asia - 4.59511985013459
        log_p_tub = bernoulli_log_prob(logits_tub, tub, 0)
        logits_lung = 2.3978952727983707 * smoke - 4.59511985013459
        log_p_lung = bernoulli_log_prob(logits_lung, lung, 0)
        logits_bronc = 1.252762968495368 * smoke - 0.8472978603872038
        log_p_bronc = bernoulli_log_prob(logits_bronc, bronc, 0)
        either = torch.maximum(tub, lung)
        logits_xray = 6.836259277277065 * either - 2.9444389791664403
        log_p_xray = bernoulli_log_prob(logits_xray, xray, 0)
        short = 3.0445224377234226 * either - 2.197224577336219
        wheezing = 1.3862943611198908 + 0.8109302162163288 * either
        logits_dysp = short * (1.0 - bronc) + wheezing * bronc
        log_p_dysp = bernoulli_log_prob(logits_dysp, dysp, 0)
        total = log_p_asia + log_p_smoke + log_p_tub + log_p_lung
        return total + log_p_bronc + log_p_xray + log_p_dysp

    def _log_joint(self, xray: Tensor, dysp: Tensor) -> Tensor:
        """Shared by evidence, p(tub,lung,bronc|xray,dysp) and p(lung|xray,dysp);
        xray, dysp: [...] -> log_joint [bronc, lung, tub, ...].
        """
        asia = tub = smoke = lung = bronc = every_state(self._like, 2, (), xray.shape)
        log_p_asia = -0.010050335853501442 * (1.0 - asia) - 4.605170185988092 * asia
        log_p_smoke = bernoulli_log_prob(self.smokers, smoke, 0)
        # log p(tub|asia)
        logits_tub = 1.6506808709681495 * asia - 4.59511985013459
        log_p_tub = bernoulli_log_prob(logits_tub, tub.unsqueeze(1), 0)
        # log p(lung|smoke)
        logits_lung = 2.3978952727983707 * smoke - 4.59511985013459
        lung_aligned = lung.unsqueeze(1)
        log_p_lung = bernoulli_log_prob(logits_lung, lung_aligned, 0)
        # log p(bronc|smoke)
        logits_bronc = 1.252762968495368 * smoke - 0.8472978603872038
        log_p_bronc = bernoulli_log_prob(logits_bronc, bronc.unsqueeze(1), 0)
        # log p(xray|tub,lung)
        either = torch.maximum(tub, lung_aligned)
        logits_xray = 6.836259277277065 * either - 2.9444389791664403
        log_p_xray = bernoulli_log_prob(logits_xray, xray, 0)
        # log p(dysp|tub,lung,bronc)
        short = 3.0445224377234226 * either - 2.197224577336219
        product = short * (1.0 - bronc).unsqueeze(1).unsqueeze(2)
        wheezing = 1.3862943611198908 + 0.8109302162163288 * either
        product_2 = wheezing * bronc.unsqueeze(1).unsqueeze(2)
        log_p_dysp = bernoulli_log_prob(product + product_2, dysp, 0)
        log_sum_asia = (log_p_asia + log_p_tub).logsumexp(1)
        # log p(xray,dysp): the sum over smoke
        total = log_p_smoke + log_p_lung + log_p_bronc.unsqueeze(1)
        log_sum_smoke = total.logsumexp(2)
        return log_sum_asia + log_p_xray + log_sum_smoke.unsqueeze(2) + log_p_dysp

    def log_prob_of(self, name: str, /, **values: Tensor) -> Tensor:
        """Log-density of a factor or model by its name, per example."""
        if str(name).replace(" ", "") == "p(xray,dysp)":
            return self.evidence(**values)
        factor = self.factor(name)
        head, _, rest = name.replace(" ", "").split("(")[-1].rstrip(")").partition("|")
        targets, parents = head.split(","), [n for n in rest.split(",") if n]
        if missing := {*targets, *parents} - values.keys():
            raise KeyError(f"{name} needs {min(missing)}")
        asked = {n: values.pop(n) for n in targets}
        found = factor(*[values.pop(n) for n in parents], **values)
        return log_prob_under(self, name, found, asked)

    def p_asia(self) -> D.Distribution:
        """p(asia) = Bernoulli(probs=0.01)."""
        full_like = torch.full_like(self._like, 0.01)
        return D.Bernoulli(probs=full_like, validate_args=False)

    def p_smoke(self) -> D.Distribution:
        """p(smoke) = Bernoulli(logits=smokers)."""
        return D.Bernoulli(logits=self.smokers, validate_args=False)

    def p_tub_given_asia(self, asia: Tensor) -> D.Distribution:
        """p(tub|asia) = Bernoulli(logits=logit(0.01) + (logit(0.05) - logit(0.01)) *
        asia).
        """
        asia = take(self, "p(tub|asia)", asia=(asia, ()))
        logits = 1.6506808709681495 * asia - 4.59511985013459
        return D.Bernoulli(logits=logits, validate_args=False)

    def p_lung_given_smoke(self, smoke: Tensor) -> D.Distribution:
        """p(lung|smoke) = Bernoulli(logits=logit(0.01) + (logit(0.1) - logit(0.01)) *
        smoke).
        """
        smoke = take(self, "p(lung|smoke)", smoke=(smoke, ()))
        logits = 2.3978952727983707 * smoke - 4.59511985013459
        return D.Bernoulli(logits=logits, validate_args=False)

    def p_bronc_given_smoke(self, smoke: Tensor) -> D.Distribution:
        """p(bronc|smoke) = Bernoulli(logits=logit(0.3) + (logit(0.6) - logit(0.3)) *
        smoke).
        """
        smoke = take(self, "p(bronc|smoke)", smoke=(smoke, ()))
        logits = 1.252762968495368 * smoke - 0.8472978603872038
        return D.Bernoulli(logits=logits, validate_args=False)

    def p_xray_given_tub_lung(self, tub: Tensor, lung: Tensor) -> D.Distribution:
        """p(xray|tub,lung) = Bernoulli(logits=logit(0.05) + (logit(0.98) -
        logit(0.05)) * either), either = max(tub, lung).
        """
        tub, lung = take(self, "p(xray|tub,lung)", tub=(tub, ()), lung=(lung, ()))
        logits = 6.836259277277065 * torch.maximum(tub, lung) - 2.9444389791664403
        return D.Bernoulli(logits=logits, validate_args=False)

    def p_dysp_given_tub_lung_bronc(
        self,
        tub: Tensor,
        lung: Tensor,
        bronc: Tensor,
    ) -> D.Distribution:
        """p(dysp|tub,lung,bronc) = Bernoulli(logits=short * (1 - bronc) + wheezing *
        bronc), either = max(tub, lung), short = logit(0.1) + (logit(0.7) -
        logit(0.1)) * either, wheezing = logit(0.8) + (logit(0.9) - logit(0.8)) *
        either.
        """
        tub, lung, bronc = take(
            self,
            "p(dysp|tub,lung,bronc)",
            tub=(tub, ()),
            lung=(lung, ()),
            bronc=(bronc, ()),
        )
        either = torch.maximum(tub, lung)
        short = 3.0445224377234226 * either - 2.197224577336219
        wheezing = 1.3862943611198908 + 0.8109302162163288 * either
        logits = short * (1.0 - bronc) + wheezing * bronc
        return D.Bernoulli(logits=logits, validate_args=False)

    def p_xray_dysp(self) -> TableOf:
        """p(xray,dysp), by the values of xray, dysp."""
        xray = every_state(self._like, 2, (), (2,))
        dysp = every_state(self._like, 2, (), (2,)).movedim(0, 1)
        return TableOf(self.evidence(xray, dysp), xray="boolean", dysp="boolean")

    def p_tub_lung_bronc_given_xray_dysp(self, xray: Tensor, dysp: Tensor) -> TableOf:
        """p(tub,lung,bronc|xray,dysp), by the values of tub, lung, bronc."""
        xray, dysp = take_all(
            self,
            "p(tub,lung,bronc|xray,dysp)",
            xray=(xray, ()),
            dysp=(dysp, ()),
        )
        logits = self._log_joint(xray, dysp).movedim((2, 1, 0), (-3, -2, -1))
        return TableOf(logits, tub="boolean", lung="boolean", bronc="boolean")

    def p_lung_given_xray_dysp(self, xray: Tensor, dysp: Tensor) -> D.Distribution:
        """p(lung|xray,dysp), by the values of lung."""
        xray, dysp = take_all(self, "p(lung|...)", xray=(xray, ()), dysp=(dysp, ()))
        log_sum_tub_bronc = self._log_joint(xray, dysp).logsumexp((0, 2))
        logits = log_sum_tub_bronc.movedim(0, -1)
        return D.Bernoulli(logits=logits[..., 1] - logits[..., 0], validate_args=False)

    def factor(self, name: str):
        """A factor by its name: call it with its parents for a distribution."""
        law = {
            "p(asia)": self.p_asia,
            "p(smoke)": self.p_smoke,
            "p(tub|asia)": self.p_tub_given_asia,
            "p(lung|smoke)": self.p_lung_given_smoke,
            "p(bronc|smoke)": self.p_bronc_given_smoke,
            "p(xray|tub,lung)": self.p_xray_given_tub_lung,
            "p(dysp|tub,lung,bronc)": self.p_dysp_given_tub_lung_bronc,
            "p(xray,dysp)": self.p_xray_dysp,
            "p(tub,lung,bronc|xray,dysp)": self.p_tub_lung_bronc_given_xray_dysp,
            "p(lung|xray,dysp)": self.p_lung_given_xray_dysp,
        }
        if (label := str(name).replace(" ", "")) not in law:
            raise KeyError(f"{name} is not one of {', '.join(law)}")
        return law[label]

    def get(self, name: str) -> Tensor:
        """A param or buffer by its name."""
        tensors = {"smokers": self.smokers}
        if name not in tensors:
            raise KeyError(f"{name} is not one of {', '.join(tensors)}")
        return tensors[name]

    def set(self, name: str, value) -> None:
        """Give a param or buffer a value."""
        store(name, self.get(name), value)

    def optimizers(self, fused: bool | None = None) -> list:
        """Adam for evidence."""
        return [torch.optim.Adam(self.parameters(), lr=0.01, fused=fused)]

    def train_step(self, optimizers: list, xray: Tensor, dysp: Tensor) -> dict:
        """One optimizer step on -evidence; returns the loss before the update."""
        (optimizer,) = optimizers
        loss = self.loss(xray, dysp)
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


def take_all(module, formula: str, /, **variables):
    """Variables as `take` gives them, which must have one batch shape."""
    found, batch = take_each(module, formula, variables)
    first, *others = batch.values()
    if any(size != first for size in others):
        said = ", ".join(f"{name} {size}" for name, size in batch.items())
        raise ValueError(f"the batch shapes of {said} in {formula} differ")
    return found


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
