"""The lazy classes of zuko, which take those here for their own."""

from __future__ import annotations

import torch.distributions as D

from pgcompile.lazy.protocol import LazyDistribution, LazyTransform


def link_zuko() -> None:
    """Let zuko take these classes for its own: they become virtual subclasses of its lazy ones.

    Importing zuko switches off the validation of arguments of `torch.distributions`; it is put back as it was.
    """
    validating = D.Distribution._validate_args
    try:
        import zuko.lazy
    finally:
        D.Distribution.set_default_validate_args(validating)
    zuko.lazy.LazyDistribution.register(LazyDistribution)
    zuko.lazy.LazyTransform.register(LazyTransform)
