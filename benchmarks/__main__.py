"""`python -m benchmarks [--quick]` measures and writes `docs/benchmarks.md`."""

import platform
from collections.abc import Callable
from pathlib import Path

import click
import torch
from tqdm import tqdm

import pgcompile as pgc
from benchmarks import deep_markov, flows, plates, sequences
from benchmarks.commands import command_seconds, compile_seconds
from benchmarks.counting import dispatches
from benchmarks.digits import compare
from benchmarks.hand_written import HandWrittenVae, vae_program
from benchmarks.marginal import marginal_ratio
from benchmarks.objectives import figures, reductions
from benchmarks.peers import peer_steps, versions
from benchmarks.steps import step_ratios
from pgcompile.atomic_write import write_atomically

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds: figures to look at, not to quote.")
@click.option("--write/--no-write", default=True, help="Write docs/benchmarks.md.")
@click.option("--only", multiple=True, help="A part alone, whose section of the page is replaced: steps, flows, ...")
def main(quick: bool, write: bool, only: tuple[str, ...]) -> None:
    """Measure the compiler and what it emits."""
    parts: dict[str, Callable[[], list[str]]] = {
        "operations": _counts,
        "steps": lambda: _steps(rounds=6 if quick else 40),
        "commands": lambda: _commands(rounds=3 if quick else 9, largest=1_000 if quick else 10_000),
        "marginal": lambda: _marginal(rounds=5 if quick else 20),
        "digits": lambda: _digits(seeds=2 if quick else 5, epochs=40 if quick else 200),
        "rewriting": lambda: _reductions(runs=30 if quick else 400),
        "objectives": lambda: _objectives(seeds=2 if quick else 5, epochs=20 if quick else 100),
        "sequences": lambda: sequences.table(rounds=4 if quick else 20, compiled=not quick),
        "deep_markov": lambda: deep_markov.table(rounds=2 if quick else 9),
        "plates": lambda: plates.table(rounds=4 if quick else 20),
        "flows": lambda: flows.table(rounds=5 if quick else 25),
    }
    unknown = [name for name in only if name not in parts]
    if unknown:
        raise click.UsageError(f"there is no part {unknown[0]}: there are {', '.join(parts)}")
    found = {}
    for name in tqdm(only or parts, unit="part"):
        if section := "\n".join(parts[name]()).strip():
            found[name] = section
    text = _head(quick) + "\n" + "\n\n".join(found.values()) + "\n"
    if only and PAGE.is_file():
        text = PAGE.read_text(encoding="utf-8")
        for section in found.values():
            text = _replaced(text, section)
    click.echo(text)
    if write:
        write_atomically(PAGE, text.encode())


def _replaced(page: str, section: str) -> str:
    """A page with the section of the same heading replaced."""
    heading = section.splitlines()[0]
    head, *sections = page.split("\n## ")
    kept = [section[3:] if f"## {old.splitlines()[0]}" == heading else old.strip() for old in sections]
    if all(f"## {old.splitlines()[0]}" != heading for old in sections):
        kept.append(section[3:])
    return "\n\n".join([head.strip(), *(f"## {old}" for old in kept)]) + "\n"


def _head(quick: bool) -> str:
    command = "python -m benchmarks" + (" --quick" if quick else "")
    return (
        f"# Benchmarks\n\nMade by `{command}` with torch {torch.__version__} "
        f"{f' and {versions()} ' if versions() else ''}on {platform.machine()}, one thread, CPU only. "
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
    names = ["emitted", "Trainer", *peer_steps(4, 4, 2)]
    rows = [
        "## Training step",
        "",
        "Time of one update over that of the hand-written module with `torch.optim.Adam`: below one is faster. "
        "`emitted` is the emitted module with the same optimiser; `Trainer` is `pgc.Trainer`, which asks for the fused "
        "one and looks at every loss; Pixyz and Pyro train as their own documentation does. Medians of interleaved "
        f"rounds{f', against {versions()}' if versions() else ''}.",
        "",
        f"| nets | batch | threads | {' | '.join(names)} |",
        f"| --- | --- | --- |{' --- |' * len(names)}",
    ]
    for threads in (1, 2):
        for nets, batches in (((784, 512, 64), (16, 128, 512)), ((16, 16, 2), (16,))):
            for batch in batches:
                found = step_ratios(*nets, batch, threads=threads, rounds=rounds)
                cells = " | ".join(f"{found[name]:.2f}" for name in names)
                rows.append(f"| {'-'.join(map(str, nets))} | {batch} | {threads} | {cells} |")
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


def _marginal(rounds: int) -> list[str]:
    rows = [
        "## Discrete marginal",
        "",
        "log-density and gradient of a hidden Markov model by variable elimination: time over that of the forward "
        "algorithm written by hand, batch 32.",
        "",
        "| steps | states | ratio |",
        "| --- | --- | --- |",
    ]
    return [*rows, *(f"| {t} | {k} | {marginal_ratio(t, k, rounds):.2f} |" for t, k in ((10, 64), (50, 16), (50, 64)))]


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
