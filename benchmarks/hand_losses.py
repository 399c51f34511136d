"""The loss of every example as one would write it by hand, over the nets of the emitted module."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def softplus(raw: Tensor) -> tuple[Tensor, Tensor]:
    """A scale and its logarithm, which is the raw number where the scale underflows."""
    scale = F.softplus(raw)
    return scale, torch.where(raw < -30.0, raw, scale.clamp_min(1e-30).log())


def floored(scale: Tensor) -> Tensor:
    """A scale that one can divide by where it underflows."""
    return scale.clamp_min(torch.finfo(scale.dtype).tiny)


def softplus_pair(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m, s = values.chunk(2, -1)
    return m, *softplus(s)


def kl_to_standard(m: Tensor, s: Tensor, log_s: Tensor) -> Tensor:
    return (0.5 * (m.square() + s.square() - 1) - log_s).sum(-1)


def bce(logits: Tensor, x: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def hand_beta(m: nn.Module, x: Tensor) -> Tensor:
    h = m.hidden(x)
    loc, (scale, log_scale) = m.loc(h), softplus(m.scale[0](h))
    z = loc + scale * torch.randn_like(loc)
    return -(bce(m.decoder(z), x) - 0.5 * kl_to_standard(loc, scale, log_scale)).mean()


def hand_conditional(m: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    label = F.one_hot(y, 10).to(x.dtype)
    loc, scale, log_scale = softplus_pair(m.head(m.hidden(torch.cat((x, label), -1))))
    z = loc + scale * torch.randn_like(loc)
    return -(bce(m.decoder(torch.cat((z, label), -1)), x) - kl_to_standard(loc, scale, log_scale)).mean()


def hand_ladder(m: nn.Module, x: Tensor) -> Tensor:
    m1, s1, log_s1 = softplus_pair(m.encode_1(x))
    z1 = m1 + s1 * torch.randn_like(m1)
    m2, s2, log_s2 = softplus_pair(m.encode_2(z1))
    z2 = m2 + s2 * torch.randn_like(m2)
    m3, s3, log_s3 = softplus_pair(m.decode_1(z2))
    log_p = (-0.5 * ((z1 - m3) / floored(s3)).square() - log_s3 - 0.9189385).sum(-1)
    entropy = (log_s1 + 1.4189385).sum(-1)
    return -(bce(m.decode_0(z1), x) + log_p + entropy - kl_to_standard(m2, s2, log_s2)).mean()


def hand_classifier(m: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(m.logits(x), y)


def hand_factors(m: nn.Module, grey: Tensor) -> Tensor:
    loc, (spread, log_spread), (noise, log_noise) = m.loc(grey), softplus(m.free_spread), softplus(m.free_noise)
    z = loc + spread * torch.randn_like(loc)
    mean = F.linear(z, m.loadings) + m.centre
    log_p = (-0.5 * ((grey - mean) / floored(noise)).square() - log_noise - 0.9189385).sum(-1)
    return -(log_p - kl_to_standard(loc, spread, log_spread)).mean()


def hand_iwae(m: nn.Module, x: Tensor) -> Tensor:
    """The plain way: with hooks for the gradient it would be fewer lines and no fewer operations."""
    h = m.hidden(x)
    loc, (scale, log_scale) = m.loc(h), softplus(m.scale[0](h))
    z = loc + scale * torch.randn_like(loc.expand(8, *loc.shape))

    def log_w(z: Tensor) -> Tensor:
        log_q = (-0.5 * ((z - loc.detach()) / floored(scale.detach())).square() - log_scale.detach() - 0.9189385).sum(
            -1
        )
        log_p = (-0.5 * z.square() - 0.9189385).sum(-1)
        logits = m.decoder(z)
        return (
            -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1) + log_p - log_q
        )

    first = log_w(z)
    share = first.detach().softmax(0)
    scaled = z.detach() + share.unsqueeze(-1) * (z - z.detach())
    second = (share * log_w(scaled)).sum(0)
    return -((first.logsumexp(0) - 2.0794415).detach() + second - second.detach()).mean()


def hand_mmd(m: nn.Module, x: Tensor) -> Tensor:
    h = m.hidden(x)
    loc, scale = m.loc(h), m.scale(h)
    z = loc + scale * torch.randn_like(loc)
    rec = bce(m.decoder(z), x).mean()
    prior = torch.randn_like(loc)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = (a.unsqueeze(1) - b).square().sum(-1)
        return sum((w * w / (w * w + squares) for w in (1.0, 2.0, 4.0)), torch.zeros(()))

    def off(k: Tensor) -> Tensor:
        return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))

    return -(rec - 100 * (off(kernel(z, z)) + off(kernel(prior, prior)) - 2 * kernel(z, prior).mean()))


def hand_tc(m: nn.Module, x: Tensor) -> Tensor:
    h = m.hidden(x)
    loc, (scale, log_scale) = m.loc(h), softplus(m.scale[0](h))
    z = loc + scale * torch.randn_like(loc)
    elbo = bce(m.decoder(z), x) - kl_to_standard(loc, scale, log_scale)
    pairs = -0.5 * ((z - loc.unsqueeze(1)) / floored(scale).unsqueeze(1)).square() - log_scale.unsqueeze(1) - 0.9189385
    size = 2.7725887
    joint, apart = pairs.sum(-1).logsumexp(0) - size, (pairs.logsumexp(0) - size).sum(-1)
    return -(elbo - 3 * (joint - apart)).mean()


def hand_discrete(m: nn.Module, x: Tensor) -> Tensor:
    logits = m.encoder(x)
    probs = logits.sigmoid()
    b = torch.bernoulli(probs.expand(4, *probs.shape))
    found = m.decoder(b)
    rec = -F.binary_cross_entropy_with_logits(found, x.expand_as(found), reduction="none").sum(-1)
    log_q = -F.binary_cross_entropy_with_logits(logits.expand_as(b), b, reduction="none").sum(-1)
    advantage = (rec.detach() - rec.detach().mean(0, keepdim=True)) * 4 / 3
    kl = (probs * logits - F.softplus(logits) + 0.6931472).sum(-1)
    surrogate = ((log_q - log_q.detach()) * advantage).mean(0)
    return -(rec.mean(0) + surrogate - kl).mean()


def hand_enumerated(m: nn.Module, x: Tensor) -> Tensor:
    h = m.encoder(x)
    log_q = m.logits(h).log_softmax(-1)
    loc, (scale, log_scale) = m.loc(h), softplus(m.scale[0](h))
    z_loc = loc + m.centres.unsqueeze(1)
    z = z_loc + scale * torch.randn_like(z_loc)
    found = m.decoder(z)
    rec = -F.binary_cross_entropy_with_logits(found, x.expand_as(found), reduction="none").sum(-1)
    prior = m.centres.unsqueeze(1)
    kl_z = (0.5 * (scale.square() + (z_loc - prior).square() - 1) - log_scale).sum(-1)
    probs = log_q.exp()
    kl_k = (probs * (log_q + 2.3025851)).sum(-1)
    return -((probs.T * (rec - kl_z)).sum(0) - kl_k).mean()


def hand_vae(m: nn.Module, x: Tensor) -> Tensor:
    h = m.hidden(x)
    loc, (scale, log_scale) = m.loc(h), softplus(m.scale[0](h))
    z = loc + scale * torch.randn_like(loc)
    return -(bce(m.decoder(z), x) - kl_to_standard(loc, scale, log_scale)).mean()


def hand_mixture(m: nn.Module, x: Tensor) -> Tensor:
    prototypes = m.prototypes.unsqueeze(1).expand(-1, len(x), -1)
    found = F.binary_cross_entropy_with_logits(prototypes, x.expand_as(prototypes), reduction="none").sum(-1)
    return -(m.weights.log_softmax(-1).unsqueeze(-1) - found).logsumexp(0).mean()


def hand_mvae(m: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    h, g = m.image(x), m.label(F.one_hot(y, 10).to(x.dtype))
    image, label = (m.i_loc(h), m.i_scale(h).square()), (m.l_loc(g), m.l_scale(g).square())

    def bound(experts: tuple[tuple[Tensor, Tensor], ...], seen: tuple[Tensor, ...]) -> Tensor:
        precision = sum((1 / v for _, v in experts[1:]), 1 / experts[0][1]) + 1
        loc = sum((m / v for m, v in experts[1:]), experts[0][0] / experts[0][1]) / precision
        scale = 1 / precision.sqrt()
        z = loc + scale * torch.randn_like(loc)
        value = -kl_to_standard(loc, scale, scale.log())
        for part in seen:
            if part is x:
                value = value + bce(m.pixels(z), x)
            else:
                value = value - F.cross_entropy(m.classes(z), y, reduction="none")
        return value

    both = bound((image, label), (x, y))
    return -(both + bound((image,), (x,)) + bound((label,), (y,))).mean()


HAND = {
    "mvae": hand_mvae,
    "mixture": hand_mixture,
    "vae": hand_vae,
    "iwae": hand_iwae,
    "mmd_vae": hand_mmd,
    "beta_tcvae": hand_tc,
    "discrete_vae": hand_discrete,
    "enumerated_vae": hand_enumerated,
    "beta_vae": hand_beta,
    "conditional_vae": hand_conditional,
    "hierarchical_vae": hand_ladder,
    "classifier": hand_classifier,
    "factor_analysis": hand_factors,
}
