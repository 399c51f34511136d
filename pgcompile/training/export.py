"""`pgc export`: samplers, encoders and objectives for places without Python, each checked against the module."""

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pgcompile.diagnostics import DataError
from pgcompile.model.names import identifier
from pgcompile.program import Program
from pgcompile.training import checkpoint
from pgcompile.training.optimizer_steps import arguments_of
from pgcompile.vocabulary.reserved import ANCHOR

FORMATS = {"pt2": "torch.export", "onnx": "ONNX", "aoti": "AOTInductor package"}
_EXAMPLES = 4  # rows of the batch that is traced; any number of them can be given later


class _Part(nn.Module):
    """One method of a model as a `forward` of tensors."""

    def __init__(self, model: Any, what: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.what, self.inputs, self.outputs = model, what, inputs, outputs

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        if self.what in ("sample", "sample_mean"):
            size = (given[0].shape[0],)
            if ANCHOR in self.model.__dict__:
                self.model.__dict__[ANCHOR] = given[0][0] * 0
            known = dict(zip(self.inputs[1:], given[1:], strict=True))
            drawn = getattr(self.model, self.what)(() if known else size, known)
            return tuple(drawn[name] for name in self.outputs)
        if "(" in self.what:
            q = self.model.factor(self.what)(*given)
            return tuple(getattr(q, name) for name in self.outputs)
        return (getattr(self.model, self.what)(**dict(zip(self.inputs, given, strict=True))),)


def export(program: Program, weights: Path, what: str, output: Path, form: str, extern: Mapping[str, Any]) -> list[str]:
    """Write a part of a trained model, and check what was written against the module.

    Args:
        program: the program.
        weights: its checkpoint.
        what: `sample`, `sample_mean`, an objective, `log_prob`, or a factor such as `q(z|x)`, which gives its mean and
            standard deviation.
        output: the file.
        form: `pt2`, `onnx` or `aoti`.
        extern: the program's extern parts.

    Returns:
        What it takes, what it gives, and how far it is from the module, for people.

    Raises:
        DataError: there is no such part, it cannot be exported, or what was written gives something else.
    """
    model, _ = checkpoint.trained(program, weights, extern)
    part, given = _part(program, model, what)
    if form == "aoti" and ANCHOR in model._buffers:
        # Inductor fails where a constant is expanded twice: here it is computed from what is given.
        model.__dict__[ANCHOR] = model._buffers.pop(ANCHOR)
    output.parent.mkdir(parents=True, exist_ok=True)
    batch = torch.export.Dim("batch", min=2)
    shapes = tuple({0: batch} if value.dim() else {} for value in given)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            exported = torch.export.export(part, given, dynamic_shapes=(shapes,), strict=False)
            _write(exported, part, given, shapes, output, form)
            found = _read(output, form, given)
        except ImportError as error:
            raise DataError(f"{FORMATS[form]} needs {error.name}: `pip install {error.name}`") from None
        except (RuntimeError, ValueError, TypeError) as error:
            raise DataError(f"{what} cannot be exported as {FORMATS[form]}: {str(error).splitlines()[0]}") from None
    return [
        f"takes {', '.join(f'{n}: {_shown(v)}' for n, v in zip(part.inputs, given, strict=True))}",
        f"gives {', '.join(part.outputs)}",
        _check(part, given, found),
    ]


def _part(program: Program, model: Any, what: str) -> tuple[_Part, tuple[Tensor, ...]]:
    values = program.analysis.model
    label = what.replace(" ", "")
    factors = {f.label: f for f in values.factors}
    if label in factors:
        factor = factors[label]
        given = tuple(_example(program, name) for name in factor.parents)
        if not given:
            raise DataError(f"{label} is conditioned on nothing: export sample, or what depends on it")
        q = model.factor(label)(*given)
        outputs = tuple(name for name in ("mean", "stddev") if _has(q, name))
        if not outputs:
            raise DataError(f"{label} has no mean to export")
        return _Part(model, label, factor.parents, outputs), given
    part = program.generative
    if what in ("sample", "sample_mean"):
        if part is None or not hasattr(model, what):
            raise DataError("the program has no model to draw from")
        given = (torch.zeros(_EXAMPLES), *(_example(program, name) for name in part.parent_names))
        return _Part(model, what, ("rows", *part.parent_names), part.target_names), given
    known = [*values.objectives, *(["log_prob"] if hasattr(model, "log_prob") else [])]
    if what not in known:
        raise DataError(f"there is no {what} to export: there are sample, sample_mean, {', '.join([*known, *factors])}")
    names = arguments_of(program, identifier(what))
    by_name = {identifier(v): v for v in (*values.variables, *values.tensors)}
    return _Part(model, identifier(what), names, (what,)), tuple(_example(program, by_name[n]) for n in names)


def _has(q: Any, name: str) -> bool:
    try:
        return isinstance(getattr(q, name), Tensor)
    except (NotImplementedError, AttributeError):
        return False


def _example(program: Program, name: str) -> Tensor:
    """Rows of a variable, or a number for an input."""
    model = program.analysis.model
    if name in model.tensors:
        return torch.tensor(0.5)
    space = model.spaces[name]
    if space.kind == "category":
        return torch.arange(_EXAMPLES).remainder(space.categories or 1)
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(_EXAMPLES, *space.shape, generator=generator)
    return uniform.round() if space.kind in ("boolean", "nonnegative_integer") else uniform


def _write(exported: Any, part: _Part, given: tuple[Tensor, ...], shapes: Any, output: Path, form: str) -> None:
    """Through a file beside it, so that the old one is replaced by a whole one."""
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        temporary = Path(folder) / f"export.{'onnx' if form == 'onnx' else 'pt2'}"
        match form:
            case "pt2":
                torch.export.save(exported, temporary)
            case "onnx":
                torch.onnx.export(
                    part,
                    given,
                    temporary,
                    dynamo=True,
                    dynamic_shapes=(shapes,),
                    input_names=list(part.inputs),
                    output_names=list(part.outputs),
                    external_data=False,
                    verbose=False,
                )
            case _:
                torch._inductor.aoti_compile_and_package(exported, package_path=str(temporary))
        temporary.replace(output)


def _read(output: Path, form: str, given: tuple[Tensor, ...]) -> list[Tensor]:
    """Run the written file on the example inputs."""
    torch.manual_seed(0)
    match form:
        case "pt2":
            found = torch.export.load(output).module()(*given)
        case "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
            names = [entry.name for entry in session.get_inputs()]
            fed = {name: value.numpy() for name, value in zip(names, given, strict=False)}
            found = [torch.from_numpy(np.asarray(value)) for value in session.run(None, fed)]
        case _:
            found = torch._inductor.aoti_load_package(str(output))(*given)
    return list(found)


@torch.no_grad()
def _check(part: _Part, given: tuple[Tensor, ...], found: list[Tensor]) -> str:
    """Compare the file with the module; a part with noise is compared where both draw the same."""
    torch.manual_seed(0)
    expected = part(*given)
    torch.manual_seed(0)
    again = part(*given)
    torch.manual_seed(1)
    other = part(*given)
    if [tuple(f.shape) for f in found] != [tuple(e.shape) for e in expected]:
        raise DataError(f"the exported file gives shapes {[tuple(f.shape) for f in found]}, which are not the module's")
    noisy = any(not torch.equal(a, b) for a, b in zip(again, other, strict=True))
    if noisy:
        if not all(torch.isfinite(f.float()).all() for f in found):
            raise DataError("the exported file draws values that are not finite")
        return "draws noise of its own: shapes and types are those of the module"
    worst = max(
        float((f.double() - e.double()).abs().max() / (1 + e.double().abs().max()))
        for f, e in zip(found, expected, strict=True)
    )
    if worst > 1e-4:
        raise DataError(f"the exported file differs from the module by {worst:.2g}")
    return f"differs from the module by {worst:.1g}, relatively"


def _shown(value: Tensor) -> str:
    dims = ", ".join(["batch", *map(str, value.shape[1:])]) if value.dim() else "a number"
    return f"[{dims}]" if value.dim() else dims
