"""Uses of a trained model: `pgc evaluate`, `pgc reconstruct` and `pgc interpolate`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from pgcompile.diagnostics import DataError
from pgcompile.model.data_spaces import data_names, data_spaces, totals_of
from pgcompile.model.names import identifier
from pgcompile.program import Program
from pgcompile.training import checkpoint
from pgcompile.training.coupled import check_rows, least_rows, split_rows
from pgcompile.training.data import save_arrays
from pgcompile.training.device import device_of
from pgcompile.training.evaluation import by_identifier, mean_terms, prepared_batches
from pgcompile.training.optimizer_steps import arguments_of
from pgcompile.training.pictures import image_shape, save_grid, save_pairs, save_scatter
from pgcompile.training.posteriors import conditions_of, posterior_chain, posterior_of, reconstruct
from pgcompile.training.prepare import Preparation
from pgcompile.training.rows import Data, Rows, rows_of
from pgcompile.training.sampling import check_ending
from pgcompile.training.settings import Settings
from pgcompile.training.starting import fixed_inputs
from pgcompile.training.unequal import filled_up


class Applied:
    """A trained model with its data.

    Args:
        program: the program.
        weights: its checkpoint.
        data: see `Trainer.fit`.
        settings: batch size, device, inputs and seed.
        extern: the program's extern parts.

    Raises:
        DataError: the checkpoint or the data does not fit.
    """

    def __init__(
        self,
        program: Program,
        weights: Path,
        data: Data | None,
        settings: Settings,
        extern: Mapping[str, Any] | None = None,
    ) -> None:
        self.program, self.settings = program, settings
        self.device = device_of(settings.device)
        self.model, prepared = checkpoint.trained(program, weights, extern)
        self.model.to(self.device)
        self.prepared: Preparation = prepared.to(self.device)
        torch.manual_seed(settings.seed)
        self.data = data

    # --- the data ---

    def rows(self, wanted: list[str]) -> Rows:
        """The rows of some variables.

        Raises:
            DataError: there are none, or they do not fit.
        """
        if self.data is None:
            raise DataError(f"{', '.join(wanted)} is observed: give the data with --data")
        spaces = data_spaces(self.program.analysis.model)
        for name, (_, _, noise) in self.prepared.steps.items():
            spaces[name] = replace(spaces[name], kind="nonnegative_integer" if float(noise) else "real")
        data = filled_up(self.data, self.program.analysis.model)
        return rows_of(data, wanted, spaces, frozenset(n for n, s in self.prepared.steps.items() if float(s[2])))

    def _batches(self, wanted: list[str], title: str, progress: bool) -> Iterator[dict[str, Tensor]]:
        rows = self.rows(wanted)
        settings = self.settings
        check_rows(self.program, len(rows), "row")
        chunks = split_rows(torch.arange(len(rows)), settings.batch_size, least_rows(self.program))
        several = prepared_batches(rows, chunks, self.prepared, self.device, settings.workers)
        yield from tqdm(several, desc=title, total=len(chunks), unit="batch", leave=False, disable=not progress)

    def observed(self) -> list[str]:
        """Variables that the objectives observe."""
        names = set(arguments_of(self.program, "terms")) if hasattr(self.program.Model, "terms") else set()
        return [v for v in data_names(self.program.analysis.model) if identifier(v) in names]

    def _inputs(self) -> dict[str, Tensor]:
        """Inputs as they are at the end of training, where a schedule drives them."""
        wanted = set(arguments_of(self.program, "terms"))
        ramps = self.program.analysis.model.ramps
        ends = {identifier(name): ramp.end for name, ramp in ramps.items() if identifier(name) in wanted}
        values = {**ends, **fixed_inputs(self.program, self.settings, wanted)}
        return {name: torch.tensor(value, device=self.device) for name, value in values.items()}

    # --- what is asked ---

    @torch.no_grad()
    def evaluate(self, samples: int = 0, *, progress: bool = False) -> dict[str, float]:
        """Means over the data of every named term, and of an importance-weighted bound of `log p` of what is observed.

        Args:
            samples: draws of the bound (Burda et al. 2016), 0 for no bound.
            progress: whether to show a bar.

        Raises:
            DataError: the data does not fit, or the program has no posterior for the bound.
        """
        if not hasattr(self.program.Model, "terms"):
            raise DataError("the program has no objective to evaluate")
        wanted, inputs = self.observed(), self._inputs()
        names = arguments_of(self.program, "terms")
        for name in map(identifier, totals_of(self.program.analysis.model)):
            if name in names and name not in inputs:
                inputs[name] = torch.tensor(float(len(self.rows(wanted))), device=self.device)

        def terms(batch: dict[str, Tensor]) -> dict[str, Tensor]:
            given = {**by_identifier(batch), **inputs}
            found: dict[str, Tensor] = self.model.terms(**{n: given[n] for n in names})
            return found | {f"IWAE-{samples}": self._bound(batch, samples)} if samples else found

        return mean_terms(self._batches(wanted, "evaluating", progress) if wanted else [{}], terms)

    def _bound(self, rows: dict[str, Tensor], samples: int) -> Tensor:
        """log of the mean of `samples` weights p(x, z) / q(z|x), for each row."""
        chain = posterior_chain(self.program, rows)
        if chain is None or not hasattr(self.model, "log_prob"):
            raise DataError("a bound needs a density of everything, and a posterior q of what is not observed")
        spaces = data_spaces(self.program.analysis.model)
        for name, value in rows.items():
            lacking = value < 0 if spaces[name].kind == "category" else value.isnan()
            if spaces[name].optional and bool(lacking.any()):
                raise DataError(
                    f"a bound scores all of {name}, and rows lack values of it: write one as an objective, with "
                    f"log p(observed({name})|...) in log E_{{q; samples={samples}}}[exp(...)]"
                )
        values = {name: value.expand(samples, *value.shape) for name, value in rows.items()}
        total = torch.zeros((), device=self.device)
        for factor in chain:
            q = self.model.factor(factor.label)(*(values[p] for p in factor.parents))
            values[factor.targets[0]], log_q = _drawn(q)
            total = total - log_q
        names = arguments_of(self.program, "log_prob")
        by_name = {identifier(name): value for name, value in values.items()}
        weights: Tensor = self.model.log_prob(**{name: by_name[name] for name in names}) + total
        return weights.logsumexp(0) - math.log(samples)

    @property
    def posterior(self) -> list[str]:
        """Labels of the factors that latents are drawn from for a bound, in order."""
        chain = posterior_chain(self.program, self.observed())
        return [factor.label for factor in chain or ()]

    @torch.no_grad()
    def reconstruct(self, output: Path, number: int | None = None, *, progress: bool = False) -> Path:
        """Observed variables as the model gives them back, into an `.npz`, or a `.png` with each below its image.

        Raises:
            DataError: the model has no posterior or no sampler, or the variables are no images.
        """
        check_ending(output)
        found: dict[str, list[Tensor]] = {}
        seen: dict[str, list[Tensor]] = {}
        count = 0
        number = (32 if output.suffix.lower() == ".png" else None) if number is None else number
        for batch in self._batches(self.observed(), "reconstructing", progress):
            given = reconstruct(self.program, self.model, batch)
            if not given:
                raise DataError("the program has no posterior of its latents, or no sampler, to reconstruct with")
            for name, value in self.prepared.undo(given).items():
                found.setdefault(name, []).append(value)
                seen.setdefault(name, []).append(self.prepared.undo({name: batch[name]})[name])
            count += len(next(iter(batch.values())))
            if number is not None and count >= number:
                break
        whole = {name: torch.cat(parts)[:number].float().cpu().numpy() for name, parts in found.items()}
        if output.suffix.lower() == ".npz":
            return save_arrays(whole, output)
        for name, array in whole.items():
            size = image_shape(self.program.analysis.model.spaces[name].shape)
            if size is not None:
                return save_pairs(torch.cat(seen[name])[:number].float().cpu().numpy(), array, size, output)
        raise DataError(f"no variable can be shown as images: write an .npz instead of {output.name}")

    @torch.no_grad()
    def interpolate(self, output: Path, pairs: int = 8, steps: int = 8) -> Path:
        """Means along straight lines between the latents of rows of the data, a row of the picture each.

        Raises:
            DataError: the model has no posterior or no sampler, or there are fewer than two rows.
        """
        check_ending(output)
        rows = self.rows(self.observed())
        pairs = min(pairs, len(rows) // 2)
        if pairs < 1:
            raise DataError("between fewer than two rows there is no line")
        taken = rows.take(torch.randperm(len(rows))[: 2 * pairs])
        batch = self.prepared({name: value.to(self.device) for name, value in taken.items()})
        latents = posterior_of(self.program, self.model, batch)
        part = self.program.generative
        if latents is None or part is None or not hasattr(self.model, "sample_mean"):
            raise DataError("the program has no posterior of its latents, or no sampler, to interpolate with")
        if not all(value.is_floating_point() for value in latents.values()):
            raise DataError("a latent is an index, and there is nothing between two of them")
        along = torch.linspace(0, 1, steps, device=self.device)

        def between(value: Tensor) -> Tensor:
            first, last = value[:pairs].unsqueeze(1), value[pairs : 2 * pairs].unsqueeze(1)
            share = along.reshape(1, steps, *[1] * (value.dim() - 1)).to(value.dtype)
            return ((1 - share) * first + share * last).flatten(0, 1)

        given = {name: between(value) for name, value in latents.items()}
        held = conditions_of(self.program, latents, batch)
        given |= {name: value[:pairs].repeat_interleave(steps, 0) for name, value in held.items()}
        drawn = self.model.sample_mean((), given)
        shown = self.prepared.undo({name: value for name, value in drawn.items() if name not in given})
        arrays = {name: value.float().cpu().numpy() for name, value in shown.items()}
        if output.suffix.lower() == ".npz":
            folded = {name: value.reshape(pairs, steps, *value.shape[1:]) for name, value in arrays.items()}
            return save_arrays(folded, output)
        for name, value in arrays.items():
            size = image_shape(self.program.analysis.model.spaces[name].shape)
            if size is not None:
                return save_grid(value, size, output, columns=steps)
            if value.shape[1:] == (2,):
                return save_scatter(value, None, output)
        raise DataError(f"no variable can be shown as images: write an .npz instead of {output.name}")


def _drawn(q: Any) -> tuple[Tensor, Tensor]:
    """A draw and its log-density, from one pass where there is one."""
    if hasattr(q, "rsample_and_log_prob"):
        found: tuple[Tensor, Tensor] = q.rsample_and_log_prob()
        return found
    draw = q.sample()
    return draw, q.log_prob(draw)
