"""Couplings: some features kept, the others moved by what is kept (Dinh et al. 2014)."""

import torch
from torch import Tensor, nn

from pgcompile.runtime.transforms.bijection import Bijection
from pgcompile.runtime.transforms.composed import added
from pgcompile.runtime.transforms.networks import ContextMLP
from pgcompile.runtime.transforms.univariate import as_columns, from_columns


class Coupling(Bijection):
    """y_kept = x_kept, y_moved = f(x_moved; net(x_kept, context)) (Dinh et al. 2014, 2017).

    Args:
        features: number of features, at least 2.
        univariate: f.
        context: number of context features.
        hidden: hidden units of the net.
        act: activation of the net.
        mask: which features are kept: `even`, `odd`, `first`, `last`, `random`, or a list of truth values.
        net: a module of your own, from [N, kept + context] to parameters [N, parameters * moved].
    """

    argument = "features"
    takes = "vector"
    least = 2
    conditional = True
    kept_by = "mask"
    shape_rule = "same"
    rearranges = False
    options = {
        "hidden": {"kind": "sizes"},
        "act": {"kind": "activation"},
        "mask": {
            "kind": "mask",
            "words": ("even", "odd", "first", "last", "random"),
        },
        "net": {"kind": "module"},
    }

    kept: Tensor
    moved: Tensor
    places: Tensor

    def __init__(
        self,
        features: int,
        univariate,
        context: int,
        hidden: tuple,
        act: type,
        mask,
        net=None,
    ):
        super().__init__()
        device = torch.get_default_device()
        with torch.device("cpu"):  # also where the module is made without data
            chosen = coupling_mask(features, mask)
        self.univariate = univariate
        kept = int(chosen.sum())
        outputs = univariate.parameters_each * (features - kept)
        self.net = (
            ContextMLP(kept + context, outputs, hidden, act) if net is None else net
        )
        self.register_buffer("mask", chosen.to(device))
        self.settle(chosen, device)

    def settle(self, mask: Tensor, device: torch.device) -> None:
        """Positions of the features that are kept and of those that are moved."""
        kept, moved = mask.nonzero().squeeze(-1), (~mask).nonzero().squeeze(-1)
        places = torch.argsort(torch.cat((kept, moved)))
        self.hold(device, kept=kept, moved=moved, places=places)

    def _load_from_state_dict(self, state, prefix, *rest):
        super()._load_from_state_dict(state, prefix, *rest)
        if not self.mask.is_meta:
            self.settle(self.mask.cpu(), self.mask.device)

    def couple(
        self, kept: Tensor, moved: Tensor, context: Tensor | None, backwards: bool
    ):
        """The features that move and the log-determinant, data points as columns."""
        inputs = kept if context is None else torch.cat((kept, context))
        if isinstance(self.net, ContextMLP):
            phi = self.net.by_parameter(inputs)
        else:
            phi = self.net(inputs.mT).mT
        f = self.univariate.inverse if backwards else self.univariate
        moved, slope = f(moved, phi, self.moved)
        return moved, None if slope is None else slope.sum(0)

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.apply_to(x, context, False)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.apply_to(y, context, True)

    def apply_to(self, x: Tensor, context: Tensor | None, backwards: bool):
        """One way or the other."""
        columns = as_columns(x)
        kept, moved = columns[self.kept], columns[self.moved]
        moved, ladj = self.couple(kept, moved, as_columns(context), backwards)
        y = torch.cat((kept, moved)).index_select(0, self.places)
        return from_columns(y, ladj, x.shape[:-1])


class AlternatingCouplings(Bijection):
    """Couplings that keep in turn the same two sets of features: the halves stay split through all of them.

    Args:
        couplings: each keeps what the one before moved, or the same.
    """

    def __init__(self, couplings):
        super().__init__()
        self.layers = nn.ModuleList(couplings)
        self.compare()
        self.register_load_state_dict_post_hook(lambda module, keys: module.compare())

    def compare(self) -> None:
        """The couplings that keep what the first one moves."""
        first = self.layers[0].mask
        if first.is_meta:
            return
        self.swapped = [not torch.equal(layer.mask, first) for layer in self.layers]
        for layer, swapped in zip(self.layers, self.swapped):
            if swapped and not torch.equal(~layer.mask, first):
                raise ValueError(
                    "these couplings keep other sets of features: put them one after another"
                )

    def forward(self, x: Tensor, context: Tensor | None = None):
        """x [..., D] -> y [..., D], log |det dy/dx| [...]."""
        return self.apply_to(x, context, False)

    def inverse(self, y: Tensor, context: Tensor | None = None):
        """y [..., D] -> x [..., D], log |det dx/dy| [...]."""
        return self.apply_to(y, context, True)

    def apply_to(self, x: Tensor, context: Tensor | None, backwards: bool):
        """One way or the other."""
        first = self.layers[0]
        columns, context = as_columns(x), as_columns(context)
        kept, moved = columns[first.kept], columns[first.moved]
        total = None
        layers = list(zip(self.layers, self.swapped))
        for layer, swapped in reversed(layers) if backwards else layers:
            if swapped:
                kept, ladj = layer.couple(moved, kept, context, backwards)
            else:
                moved, ladj = layer.couple(kept, moved, context, backwards)
            total = added(total, ladj)
        y = torch.cat((kept, moved)).index_select(0, first.places)
        return from_columns(y, total, x.shape[:-1])


def coupling_mask(features: int, mask) -> Tensor:
    """The features that a coupling keeps.

    Raises:
        ValueError: fewer than two features, no such mask, or one that keeps or moves nothing.
    """
    if features < 2:
        raise ValueError(
            f"a coupling needs 2 features or more, this one has {features}: use an elementwise transform"
        )
    at = torch.arange(features)
    named = {
        "even": at % 2 == 0,
        "odd": at % 2 == 1,
        "first": at < features // 2,
        "last": at >= features // 2,
    }
    if isinstance(mask, str) and mask == "random":
        return torch.randperm(features) % 2 == 0
    if isinstance(mask, str) and mask not in named:
        raise ValueError(
            f"there is no mask {mask!r}: write one of {', '.join(named)}, random, or a list"
        )
    chosen = (
        named[mask]
        if isinstance(mask, str)
        else torch.as_tensor(mask, dtype=torch.bool)
    )
    if chosen.shape != (features,) or chosen.all() or not chosen.any():
        raise ValueError(
            f"a mask over {features} features keeps some and moves some: {chosen.tolist()} does not"
        )
    return chosen
