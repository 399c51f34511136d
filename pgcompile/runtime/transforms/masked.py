"""Nets whose outputs for a feature see only the features before it, and solves with them, a step after another."""

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.networks import activation


class MaskedMLP(Bijection):
    """A perceptron whose outputs for feature i see only the features that i depends on (Germain et al. 2015).

    Hidden units are sorted by the step at which they become computable when features are found one
    after another, so that drawing evaluates each unit once.

    Args:
        adjacency: [D, D + C]; entry ij says whether feature i depends on feature or context j.
        parameters: number of outputs a feature; they lie parameter by parameter: [parameters * D, N].
        hidden: numbers of hidden units.
        act: the activation.
    """

    adjacency: Tensor
    order: Tensor
    places: Tensor
    rows: Tensor

    def __init__(
        self, adjacency: Tensor, parameters: int, hidden: tuple, act: type = nn.ReLU
    ):
        super().__init__()
        self.parameters_each = parameters
        self.act = activation(act)
        device = torch.get_default_device()
        self.register_buffer("adjacency", adjacency.to(device))
        rows, columns = adjacency.shape
        widths = zip((columns, *hidden), (*hidden, rows * parameters))
        self.layers = nn.ModuleList(nn.Linear(*width) for width in widths)
        with torch.device("cpu"):  # also where the module is made without data
            self.settle(adjacency, device)

    def settle(self, adjacency: Tensor, device: torch.device) -> None:
        """Work out which unit sees what, and when: from the adjacency alone."""
        features = len(adjacency)
        step = steps_of(adjacency[:, :features])
        kinds, kind = torch.unique(adjacency, dim=0, return_inverse=True)
        within = (kinds.double() @ kinds.double().T) == kinds.sum(-1)
        ready = (
            (kinds[:, :features] * (step + 1)).amax(-1) if features else kinds.sum(-1)
        )
        masks, mask, placed, starts = [], kinds, [], []
        for layer in self.layers[:-1]:
            seen = mask.any(-1).nonzero().squeeze(-1)
            if len(seen) == 0:
                raise ValueError(
                    "no feature depends on another or on the context: use an elementwise transform"
                )
            unsorted = seen[torch.arange(layer.out_features) % len(seen)]
            order = torch.argsort(ready[unsorted], stable=True)
            units = unsorted[order]
            placed.append(order)
            starts.append(
                torch.bincount(ready[units], minlength=int(step.max()) + 1)
                .cumsum(0)
                .tolist()
            )
            masks.append(mask[units])
            mask = within[:, units]
        masks.append(mask[kind].repeat(self.parameters_each, 1))
        for i, mask in enumerate(masks):
            mask = mask.to(self.layers[i].weight.dtype)
            self.hold(device, **{f"mask_{i}": mask})
        self.placed = placed
        steps = int(step.max()) + 1
        self.groups = [(step == t).nonzero().squeeze(-1).tolist() for t in range(steps)]
        order = [i for group in self.groups for i in group]
        outputs = range(self.parameters_each)
        places = sorted(range(features), key=order.__getitem__)
        rows = [p * features + i for g in self.groups for p in outputs for i in g]
        indices = {"order": order, "places": places, "rows": rows}
        self.hold(device, **{name: torch.tensor(i) for name, i in indices.items()})
        # Where the values of each step begin, and how many they are: features, hidden units, outputs.
        sizes = torch.tensor([len(group) for group in self.groups]).cumsum(0)
        ends = (sizes * self.parameters_each).tolist()
        self.stops = [[0, *stops] for stops in (sizes.tolist(), *starts, ends)]
        self.counts = [torch.tensor(stops).diff().tolist() for stops in self.stops]
        self.block = max(8, round(steps**0.5))

    def _load_from_state_dict(self, state, prefix, *rest):
        super()._load_from_state_dict(state, prefix, *rest)
        if not self.adjacency.is_meta:
            self.settle(self.adjacency.cpu(), self.adjacency.device)

    def weights(self):
        """Weights with their masks, and biases [units, 1], layer by layer."""
        return [
            (layer.weight * getattr(self, f"mask_{i}"), layer.bias.unsqueeze(-1))
            for i, layer in enumerate(self.layers)
        ]

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x [D, N], context [C, N] -> [parameters * D, N]."""
        h = x if context is None else torch.cat((x, context))
        *hidden, (weight, bias) = self.weights()
        for w, b in hidden:
            h = self.act(torch.addmm(b, w, h))
        return torch.addmm(bias, weight, h)

    def solve(self, layers: list, y: Tensor, context: Tensor | None, univariate):
        """Features one step after another, each unit once.

        What earlier blocks of steps give to a block is one product; inside a block each step
        adds what is new.

        Args:
            layers: weights and biases.
            y: [D, N].
            context: [C, N] or None.
            univariate: the map of single numbers whose parameters the net gives.

        Returns:
            x [D, N] and the sum of the log-slopes [N].
        """
        layers = self.in_steps(layers, context)
        prepared = univariate.prepared(y.index_select(0, self.order))
        pieces = list(zip(*(part.split(self.counts[0]) for part in prepared)))
        # What each layer takes in: the features first, then the hidden units.
        found = [None] * len(layers)
        slopes = []
        count = len(self.groups)
        # Zeros of the batch, also where it is one of contexts or of weights.
        parts = (y, *(() if context is None else (context,)), *(w for w, _ in layers))
        nothing = torch.zeros_like(sum(part[:1, :1] for part in parts) + y[:1])
        # Sums grow, and activations change them, in place where no gradient needs what they were.
        mixed = not y.is_meta and torch.is_autocast_enabled(y.device.type)
        in_place = not (mixed or torch.is_grad_enabled())
        for begin in range(0, count, self.block):
            steps = range(begin, min(begin + self.block, count))
            waiting, weights = self.open_block(layers, found, nothing, steps)
            new, parts = self.solve_block(
                waiting, weights, pieces, univariate, steps, in_place
            )
            slopes += parts
            last = steps[-1] + 1 == count
            for i, parts in enumerate(new):
                if parts and not (last and i):
                    known = found[i]
                    found[i] = torch.cat(parts if known is None else (known, *parts))
        x = found[0].index_select(0, self.places)
        if not slopes[0]:
            return x, None
        parts = tuple(torch.cat(part) for part in zip(*slopes))
        return x, univariate.log_slopes(parts).sum(0)

    def open_block(self, layers: list, found: list, nothing: Tensor, steps: range):
        """The state that a block of steps starts from.

        Args:
            layers: weights and biases, in the order of the steps.
            found: what each layer takes in from earlier blocks, None for nothing.
            nothing: zeros of the batch [1, N].
            steps: those of the block.

        Returns:
            Of each layer, sums that wait for values of this block, and the weights of what each
            step adds to those that are left.
        """
        waiting, weights = [], []
        for i, (weight, bias) in enumerate(layers):
            entering, stops = self.stops[i], self.stops[i + 1]
            first, last = stops[steps[0]], stops[steps[-1] + 1]
            known, inside = found[i], weight[first:last]
            total = bias[first:last]
            if known is None:
                total = total + nothing
            else:
                total = torch.addmm(total, inside[:, : len(known)], known)
            waiting.append(total)
            left = [stops[t + (i == 0)] - first for t in steps]
            weights.append(
                [inside[r:, entering[t] : entering[t + 1]] for t, r in zip(steps, left)]
            )
        return waiting, weights

    def solve_block(self, waiting, weights, pieces, univariate, steps, in_place):
        """The steps of a block, one after another.

        Args:
            waiting: of each layer, sums of what earlier blocks gave; they are used up.
            weights: of each layer, the weights of what each step adds.
            pieces: of each step, what the univariate map made of y.
            univariate: the map of single numbers whose parameters the net gives.
            steps: those of the block.
            in_place: whether sums and activations may overwrite what they were.

        Returns:
            What each layer takes in from each step, and the slopes of each step.
        """
        act = self.act.forward  # a call of the module costs more than some of its work
        add = Tensor.addmm_ if in_place else torch.addmm
        slopes = []
        new: list[list[Tensor]] = [[] for _ in waiting]
        for at, t in enumerate(steps):
            for i in range(len(waiting)):
                rows = self.counts[i + 1][t]
                if rows == 0:
                    continue
                value, waiting[i] = waiting[i][:rows], waiting[i][rows:]
                if i + 1 < len(waiting):
                    value = act(value if in_place else value.clone())
                    new[i + 1].append(value)
                    waiting[i + 1] = add(waiting[i + 1], weights[i + 1][at], value)
            x, parts = univariate.solved(pieces[t], value, self.groups[t])
            slopes.append(parts)
            new[0].append(x)
            if t != steps[-1]:
                waiting[0] = add(waiting[0], weights[0][at], x)
        return new, slopes

    def in_steps(self, layers: list, context: Tensor | None) -> list:
        """Weights with features and outputs in the order of their steps, and biases that have the context in them."""
        layers, features = list(layers), len(self.order)
        weight, bias = layers[0]
        if context is not None:
            bias = torch.addmm(bias, weight[:, features:], context)
        layers[0] = (weight.index_select(1, self.order), bias)
        layers[-1] = tuple(part.index_select(0, self.rows) for part in layers[-1])
        return layers

    def activations(self, layers: list, x: Tensor, context: Tensor | None):
        """The inputs of each layer, slopes of the activation at each hidden layer's units, and the outputs.

        Values of hidden units have a graph to parameters of the activation, if it has any.
        """
        h = x if context is None else torch.cat((x, context))
        values, bends = [h], []
        for weight, bias in layers[:-1]:
            total = torch.addmm(bias, weight, h.detach())
            if type(self.act) is nn.ReLU:  # a class made of it may be another
                h = total.relu_()
                bends.append(h.sign())
            else:
                total.requires_grad_()
                with torch.enable_grad():
                    h = self.act(total.clone())  # which may work in place
                ones = torch.ones_like(h)
                bends += torch.autograd.grad(h, total, ones, retain_graph=True)
            values.append(h)
        weight, bias = layers[-1]
        return values, bends, torch.addmm(bias, weight, h.detach())

    def transposed(self, layers: list, gx: Tensor, slope, outputs, constant, bends):
        """`solve` made linear and transposed, its last step first.

        Args:
            layers: weights and biases.
            gx: the cotangent of x [D, N], before what the net adds to it.
            slope: dy/dx [D, N], None for one.
            outputs: what a cotangent of y, times this, gives the outputs of the net [parameters * D, N].
            constant: what they are given besides [parameters * D, N], None for nothing.
            bends: slopes of the activation at the units of each hidden layer [units, N].

        Returns:
            The cotangents of y [D, N] and of the units of each hidden layer [units, N].
        """
        counts, stops = self.counts, self.stops
        layers = [weight.detach() for weight, _ in self.in_steps(layers, None)]
        weights = [w.split(rows) for w, rows in zip(layers, counts[1:])]
        outputs = outputs.index_select(0, self.rows).split(counts[-1])
        if constant is not None:
            constant = constant.index_select(0, self.rows).split(counts[-1])
        if slope is not None:
            slope = slope.index_select(0, self.order).split(counts[0])
        # Cotangents of the features and of the hidden units grow here; `waiting` are views of them.
        pending = [gx.index_select(0, self.order)]
        pending += [torch.zeros_like(bend + gx[:1]) for bend in bends]
        waiting = [part.split(rows) for part, rows in zip(pending, counts)]
        bends = [bend.split(rows) for bend, rows in zip(bends, counts[1:])]
        gy, each, last = [], self.parameters_each, len(layers) - 1
        for begin in reversed(range(0, len(self.groups), self.block)):
            end = min(begin + self.block, len(self.groups))
            given: list[list[Tensor]] = [[] for _ in layers]
            for t in reversed(range(begin, end)):
                value = waiting[0][t] if slope is None else waiting[0][t] / slope[t]
                gy.append(value)
                delta = outputs[t].view(each, len(value), gx.shape[1]) * value
                delta = delta.view(each * len(value), gx.shape[1])
                if constant is not None:
                    delta += constant[t]
                for i in range(last, -1, -1):
                    if i < last:
                        delta = waiting[i + 1][t] * bends[i][t]
                    if len(delta):
                        given[i].append(delta)
                        # Units of this step take in features of those before it, and units of it.
                        inside = slice(stops[i][begin], stops[i][t + (i > 0)])
                        if inside.start < inside.stop:
                            weight = weights[i][t][:, inside]
                            pending[i][inside].addmm_(weight.mT, delta)
            # What the block gives to those before it is one product.
            for i, parts in enumerate(given):
                before = stops[i][begin]
                if before and parts:
                    weight = layers[i][stops[i + 1][begin] : stops[i + 1][end], :before]
                    pending[i][:before].addmm_(weight.mT, torch.cat(parts[::-1]))
        return torch.cat(gy[::-1]).index_select(0, self.places), pending[1:]


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
    raise ValueError(
        "the adjacency has a cycle: features depend on each other in a circle"
    )
