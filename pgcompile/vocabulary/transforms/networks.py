"""Nets that give the parameters of transforms."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcompile.vocabulary.transforms.bijection import Bijection


class ContextMLP(nn.Sequential):
    """A multi-layer perceptron over a value and its context, beside each other."""

    def __init__(self, features: int, outputs: int, hidden: tuple, act: type = nn.ReLU):
        sizes = (features, *hidden)
        layers = [layer for size in zip(sizes, hidden) for layer in (nn.Linear(*size), act())]
        super().__init__(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, x: Tensor | None, context: Tensor | None = None) -> Tensor:
        """x [..., F], context [..., C] -> [..., outputs]."""
        inputs = x if context is None else context if x is None else torch.cat((x, context), -1)
        return super().forward(inputs)


class MaskedMLP(Bijection):
    """A perceptron whose outputs for feature i see only the features that i depends on (Germain et al. 2015).

    Hidden units are sorted by the step at which they become computable when features are found one
    after another, so that drawing evaluates each unit once.

    Args:
        adjacency: [D, D + C]; entry ij says whether feature i depends on feature or context j.
        parameters: number of outputs a feature; they lie parameter by parameter: [..., parameters * D].
        hidden: numbers of hidden units.
        act: the activation.
    """

    adjacency: Tensor

    def __init__(self, adjacency: Tensor, parameters: int, hidden: tuple, act: type = nn.ReLU):
        super().__init__()
        self.parameters_each = parameters
        self.act = act()
        self.register_buffer("adjacency", adjacency)
        rows, columns = adjacency.shape
        sizes = (columns, *hidden, rows * parameters)
        self.layers = nn.ModuleList(nn.Linear(*size) for size in zip(sizes, sizes[1:]))
        self.settle()

    def settle(self) -> None:
        """Work out which unit sees what, and when: from the adjacency alone."""
        adjacency = self.adjacency.cpu()
        features = len(adjacency)
        step = steps_of(adjacency[:, :features])
        kinds, kind = torch.unique(adjacency, dim=0, return_inverse=True)
        within = (kinds.double() @ kinds.double().T) == kinds.sum(-1)
        ready = (kinds[:, :features] * (step + 1)).amax(-1) if features else kinds.sum(-1)
        masks, mask, placed, starts = [], kinds, [], []
        for layer in self.layers[:-1]:
            seen = mask.any(-1).nonzero().squeeze(-1)
            if len(seen) == 0:
                raise ValueError("no feature depends on another or on the context: use an elementwise transform")
            unsorted = seen[torch.arange(layer.out_features) % len(seen)]
            order = torch.argsort(ready[unsorted], stable=True)
            units = unsorted[order]
            placed.append(order)
            starts.append(torch.bincount(ready[units], minlength=int(step.max()) + 1).cumsum(0).tolist())
            masks.append(mask[units])
            mask = within[:, units]
        masks.append(mask[kind].repeat(self.parameters_each, 1))
        for i, mask in enumerate(masks):
            self.register_buffer(f"mask_{i}", mask.to(self.adjacency.device), persistent=False)
        self.placed, self.starts = placed, starts
        self.groups = [(step == t).nonzero().squeeze(-1).tolist() for t in range(int(step.max()) + 1)]

    def _load_from_state_dict(self, state, prefix, *rest):
        super()._load_from_state_dict(state, prefix, *rest)
        if not self.adjacency.is_meta:
            self.settle()

    def weights(self):
        """Weights with their masks, and biases, layer by layer."""
        return [(layer.weight * getattr(self, f"mask_{i}"), layer.bias) for i, layer in enumerate(self.layers)]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x [..., D], context [..., C] -> [..., parameters * D]."""
        h = x if context is None else torch.cat((x, context), -1)
        *hidden, (weight, bias) = self.weights()
        for w, b in hidden:
            h = self.act(F.linear(h, w, b))
        return F.linear(h, weight, bias)

    def solve(self, y: Tensor, context: Tensor | None, invert):
        """Features one step after another: `invert(y, phi, at)` gives those of a step from their parameters.

        Returns:
            x [..., D] and the sum of the log-slopes [...].
        """
        features = y.shape[-1]
        (first, bias), *rest = self.weights()
        if context is not None:
            bias = F.linear(context, first[:, features:], bias)
        order = [i for group in self.groups for i in group]
        first = first[:, order]
        *middle, (last, last_bias) = rest
        last = last.unflatten(0, (self.parameters_each, features))
        last_bias = last_bias.unflatten(0, (self.parameters_each, features))
        known: list[Tensor] = []
        units: list[list[Tensor]] = [[] for _ in self.starts]
        total = None
        for t, group in enumerate(self.groups):
            for i, stops in enumerate(self.starts):
                start, stop = (stops[t - 1] if t else 0), stops[t]
                if start == stop:
                    continue
                if i:
                    weight, offset = middle[i - 1]
                    weight, offset = weight[start:stop, : self.starts[i - 1][t]], offset[start:stop]
                    new = F.linear(torch.cat(units[i - 1], -1), weight, offset)
                elif known:
                    seen = torch.cat(known, -1)
                    new = F.linear(seen, first[start:stop, : seen.shape[-1]]) + bias[..., start:stop]
                else:
                    new = bias[..., start:stop].expand(*y.shape[:-1], stop - start)
                units[i].append(self.act(new))
            weight, offset = last[:, group].flatten(0, 1), last_bias[:, group].flatten(0, 1)
            if units[-1]:
                phi = F.linear(torch.cat(units[-1], -1), weight[:, : self.starts[-1][t]], offset)
            else:
                phi = offset.expand(*y.shape[:-1], len(offset))
            x, slope = invert(y[..., group], phi, group)
            known.append(x)
            slope = slope.sum(-1)
            total = slope if total is None else total + slope
        places = sorted(range(features), key=order.__getitem__)
        return torch.cat(known, -1)[..., places], total


def steps_of(adjacency: Tensor) -> Tensor:
    """The step at which each feature is found: one after the last it depends on.

    Raises:
        ValueError: features depend on each other in a circle.
    """
    step = torch.zeros(len(adjacency), dtype=torch.long)
    for _ in range(len(adjacency) + 1):
        after = torch.where(adjacency, step + 1, 0).amax(-1) if len(adjacency) else step
        if torch.equal(after, step):
            return step
        step = after
    raise ValueError("the adjacency has a cycle: features depend on each other in a circle")
