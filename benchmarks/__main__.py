"""`python -m benchmarks [--quick]` measures and writes `docs/benchmarks.md`."""

import platform
from pathlib import Path

import click
import torch
from tqdm import tqdm

import pgcompile as pgc
from benchmarks import flows
from benchmarks.commands import command_seconds, compile_seconds
from benchmarks.counting import dispatches
from benchmarks.digits import compare
from benchmarks.hand_written import HandWrittenVae, vae_program
from benchmarks.objectives import figures, reductions
from benchmarks.steps import step_ratio
from pgcompile.writing import write_atomically

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds: figures to look at, not to quote.")
@click.option("--write/--no-write", default=True, help="Write docs/benchmarks.md.")
def main(quick: bool, write: bool) -> None:
    """Measure the compiler and what it emits."""
    rows: list[str] = []
    jobs = tqdm(total=7, unit="part")
    rows += _counts()
    jobs.update()
    rows += _steps(rounds=6 if quick else 40)
    jobs.update()
    rows += _commands(rounds=3 if quick else 9, largest=1_000 if quick else 10_000)
    jobs.update()
    rows += _digits(seeds=2 if quick else 5, epochs=40 if quick else 200)
    jobs.update()
    rows += _reductions(runs=30 if quick else 400)
    jobs.update()
    rows += _objectives(seeds=2 if quick else 5, epochs=20 if quick else 100)
    jobs.update()
    rows += flows.table(rounds=5 if quick else 25)
    jobs.update()
    jobs.close()
    text = "\n".join([_head(quick), *rows]) + "\n"
    click.echo(text)
    if write:
        write_atomically(PAGE, text.encode())


def _head(quick: bool) -> str:
    command = "python -m benchmarks" + (" --quick" if quick else "")
    return (
        f"# Benchmarks\n\nMade by `{command}` with torch {torch.__version__} "
        f"on {platform.machine()}, one thread, CPU only. "
        "Times of a shared machine are noisy: read the ratios. CUDA was not measured.\n"
    )


def _counts() -> list[str]:
    rows = [
        "## Operations",
        "",
        "ATen dispatches of one forward and backward pass of the loss.",
        "",
        "| nets | compiled | hand-written |",
        "| --- | --- | --- |",
    ]
    for size, hidden, latent in ((784, 512, 64), (16, 16, 2)):
        x = (torch.rand(16, size) > 0.5).float()
        model = pgc.compile(vae_program(size, hidden, latent)).Model()
        hand = HandWrittenVae(size, hidden, latent)
        rows.append(
            f"| {size}-{hidden}-{latent} | {dispatches(model, lambda m=model, x=x: m.loss(x))} "
            f"| {dispatches(hand, lambda m=hand, x=x: m.loss(x))} |"
        )
    return [*rows, ""]


def _steps(rounds: int) -> list[str]:
    rows = [
        "## Training step",
        "",
        "Time relative to the hand-written module, same optimiser, median of interleaved rounds.",
        "",
        "| nets | batch | ratio |",
        "| --- | --- | --- |",
    ]
    for nets, batches in (((784, 512, 64), (16, 128, 512)), ((16, 16, 2), (16,))):
        for batch in batches:
            rows.append(f"| {'-'.join(map(str, nets))} | {batch} | {step_ratio(*nets, batch, rounds=rounds):.2f} |")
    return [*rows, ""]


def _commands(rounds: int, largest: int) -> list[str]:
    check = command_seconds("check", "examples/vae.pgc", rounds=rounds)
    compiled = command_seconds("compile", "examples/vae.pgc", rounds=rounds)
    rows = [
        "## Commands",
        "",
        "| what | seconds |",
        "| --- | --- |",
        f"| `pgc check` of the VAE, cold | {check:.2f} |",
        f"| `pgc compile` of the VAE, cold | {compiled:.2f} |",
    ]
    sizes = [n for n in (10, 100, 1_000, 10_000) if n <= largest]
    for shape in ("chain", "tree"):
        rows += [f"| compile a {shape} of {n:,} factors | {compile_seconds(shape, n):.2f} |" for n in sizes]
    return [*rows, ""]


def _digits(seeds: int, epochs: int) -> list[str]:
    rows = [
        "## Digits",
        "",
        f"Test ELBO of the 8x8 digits VAE after {epochs} epochs "
        f"on 1500 digits, {seeds} seeds: mean and standard error.",
        "",
        "| module | ELBO |",
        "| --- | --- |",
    ]
    return [*rows, *(f"| {name} | {s.mean:.2f} ± {s.error:.2f} |" for name, s in compare(seeds, epochs).items())]


def _reductions(runs: int) -> list[str]:
    rows = [
        "",
        "## What rewriting is worth",
        "",
        "Each example's objective as it is written (every expectation sampled) and as it is computed: terms that "
        f"depend on a draw, variance of the loss, and total variance of its gradient, over {runs} evaluations "
        "on one batch of 128 digits.",
        "",
        "| example | sampled terms | variance of the loss | variance of the gradient |",
        "| --- | --- | --- | --- |",
    ]
    for name, r in reductions(runs).items():
        cells = [f"{r.terms[0]} -> {r.terms[1]}", *(f"{a:.2g} -> {b:.2g}" for a, b in (r.loss, r.gradient))]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _objectives(seeds: int, epochs: int) -> list[str]:
    rows = [
        "",
        "## Objectives",
        "",
        f"Each example's objective on 297 digits after {epochs} epochs on 1500, {seeds} seeds: "
        "mean and standard error.",
        "",
        "| example | emitted loss | loss written by hand |",
        "| --- | --- | --- |",
    ]
    for name, scores in figures(seeds, epochs).items():
        rows.append(f"| {name} | {' | '.join(f'{s.mean:.2f} ± {s.error:.2f}' for s in scores)} |")
    return rows


if __name__ == "__main__":
    main()
