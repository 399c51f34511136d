"""Steps of a flow put together: neighbouring couplings of the same two halves, and repetitions."""

from pgcompile.model.flows import CouplingsUse, FlowStep, RepeatUse, TransformUse
from pgcompile.vocabulary.transforms import transform_words

_COMPLEMENTS = ({"even", "odd"}, {"first", "last"})


def merged(steps: tuple[FlowStep, ...]) -> tuple[FlowStep, ...]:
    """Neighbouring couplings that keep in turn the same two halves, as one step that never joins them."""
    found: list[FlowStep] = []
    run: list[TransformUse] = []

    def close() -> None:
        if len(run) > 1:
            found.append(CouplingsUse(1, tuple(run)))
        else:
            found.extend(run)
        run.clear()

    for step in steps:
        mask = _mask(step)
        if mask is None or not isinstance(step, TransformUse):
            close()
            found.append(step)
            continue
        if run and not any({mask, _mask(run[0])} <= pair for pair in _COMPLEMENTS):
            close()
        run.append(step)
    close()
    return tuple(found)


def repeated(times: int, body: tuple[FlowStep, ...]) -> FlowStep:
    """Steps made several times over; couplings of two halves stay one step."""
    match body:
        case (CouplingsUse(1, couplings),):
            return CouplingsUse(times, couplings)
        case _:
            return RepeatUse(times, body)


def _mask(step: FlowStep) -> str | None:
    """The named mask of a coupling."""
    kept_by = transform_words()[step.word].kept_by if isinstance(step, TransformUse) else None
    if not isinstance(step, TransformUse) or kept_by is None:
        return None
    mask = dict(step.arguments).get(kept_by)
    return mask if isinstance(mask, str) and mask != "random" else None
