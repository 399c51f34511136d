"""Makes `ratings.npz` and `track.npz`: `python examples/data/make.py`."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def ratings() -> dict[str, np.ndarray]:
    """60 users by 40 items, products of 3 numbers each with noise of 0.3; three in ten are known, others NaN."""
    generator = np.random.default_rng(0)
    whole = generator.normal(size=(60, 3)) @ generator.normal(size=(3, 40))
    known = generator.random((60, 40)) < 0.3
    r = np.where(known, whole + 0.3 * generator.normal(size=whole.shape), np.nan)
    each = {"r": r.astype("float32"), "whole": whole.astype("float32")}
    return {name: v[None] for name, v in each.items()} | {"k": np.arange(60)[None], "j": np.arange(40)[None]}


def track() -> dict[str, np.ndarray]:
    """200 pendulums of length 1 at 40 times, 0.05 s apart: where it is, and is seen with noise of 0.2 m."""
    generator = np.random.default_rng(1)
    angle, speed = generator.uniform(-2, 2, 200), generator.uniform(-1, 1, 200)
    places = []
    for _ in range(40):
        for _ in range(5):  # steps of 10 ms
            speed = speed - 9.81 * np.sin(angle) * 0.01
            angle = angle + speed * 0.01
        places.append(np.stack((np.sin(angle), -np.cos(angle)), -1))
    truth = np.stack(places, 1)
    seen = truth + 0.2 * generator.normal(size=truth.shape)
    return {"x": seen.astype("float16"), "truth": truth.astype("float16")}


if __name__ == "__main__":
    np.savez_compressed(HERE / "ratings.npz", **ratings())
    np.savez_compressed(HERE / "track.npz", **track())
