"""Programs that several tests use, and the examples."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.pgc"))}

# A small VAE whose every number is easy to recompute.
SMALL = """x : boolean[6]
z : real[3]
net enc = Linear(4) >> Tanh
net loc = Linear(3)
net scale = Linear(3) >> Softplus
net dec = Linear(6)
p(z) = Normal(0, 1)
p(x|z) = Bernoulli(logits = dec(z))
q(z|x) = Normal(loc(h), scale(h)) where h = enc(x)
"""
