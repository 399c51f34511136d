"""Declarations: names that stand for sizes, spaces, tensors, nets and flows."""

from pgcompile.declare.declaration_pass import DeclarationPass
from pgcompile.declare.files import numbers_of_file
from pgcompile.declare.training_lines import read_ramp
from pgcompile.model.flows import FlowNet
from pgcompile.model.literals import space
from pgcompile.model.nets import ExternNetwork, Net
from pgcompile.model.tensors import TensorValue
from pgcompile.syntax import tree
from pgcompile.typing.initial_values import check_initial
from pgcompile.vocabulary.functions import FUNCTIONS


def declare(statement: tree.Statement, state: DeclarationPass) -> None:
    """Read a declaration into the model, and keep what later passes read; definitions are left alone."""
    match statement:
        case tree.ConstDeclaration(name, _):
            state.take(name, "size")
        case tree.SpaceDeclaration():
            _declare_variables(statement, state)
        case tree.TensorDeclaration():
            _declare_tensors(statement, state)
        case tree.NetDeclaration():
            _declare_net(statement, state)
        case tree.ExternNet():
            _declare_extern_net(statement, state)
        case tree.FlowDeclaration(name, inputs, stages):
            if state.take(name, "flow"):
                flow = FlowNet(name.id, tuple(n.id for n in inputs or ()), stages, name.span)
                state.model.flows[name.id] = flow
        case tree.Optimise():
            state.training_lines.append(statement)
        case tree.Structure():
            state.structures.append(statement)
        case _:
            pass


def _declare_variables(statement: tree.SpaceDeclaration, state: DeclarationPass) -> None:
    """`x, y : real[3]`."""
    found = space(statement.space, state.model.constants, state.sink)
    for name in statement.names:
        if state.take(name, "variable"):
            state.model.variables[name.id] = name.span
            if found is not None:
                state.model.spaces[name.id] = found


def _declare_tensors(statement: tree.TensorDeclaration, state: DeclarationPass) -> None:
    """`param a : real[3]`, `buffer b : real = 2`, `input beta : real = linear(0, 1, 1000)`."""
    model, sink = state.model, state.sink
    kind, initial = statement.kind, statement.initial
    found = space(statement.space, model.constants, sink)
    for name in statement.names:
        if not state.take(name, kind) or found is None:
            continue
        if kind == "input" and initial is not None:
            read_ramp(name.id, initial, model, sink)
            initial = None
        value = numbers_of_file(initial, found, sink)
        tensor = TensorValue(kind, name.id, found, value, statement.span)
        if kind == "buffer" and initial is None:
            sink.add(
                "PGC112",
                statement.span,
                f"buffer {name.id} has no value, and nothing will give it one",
                help=f"write `{sink.source.snippet(statement.span)} = ...`, such as `= zeros` and then "
                f'`model.set("{name.id}", value)` in Python, or `= file("{name.id}.npy")`',
            )
        if kind == "param" and found.kind == "corr_cholesky":
            sink.add(
                "PGC112",
                statement.span,
                f"param {name.id} cannot be learned in `{found}`: no free numbers lead there",
                help=f"make it a variable: `p({name.id}) = LKJCholesky({found.shape[-1]}, 1)`",
            )
        check_initial(tensor, model.constants, sink)
        model.tensors[name.id] = tensor


def _declare_net(statement: tree.NetDeclaration, state: DeclarationPass) -> None:
    """`net f(x) = Linear(64) >> relu`."""
    _warn_of_hidden_function(statement.name, state)
    name, inputs = statement.name, statement.inputs
    if state.take(name, "net"):
        names = None if inputs is None else tuple(n.id for n in inputs)
        state.model.nets[name.id] = Net(name.id, names, statement.body.stages, name.span)


def _declare_extern_net(statement: tree.ExternNet, state: DeclarationPass) -> None:
    """`extern net f(x) -> (loc: real[2], scale: positive[2])`."""
    _warn_of_hidden_function(statement.name, state)
    model, name = state.model, statement.name
    spaces = [(None if n is None else n.id, space(e, model.constants, state.sink)) for n, e in statement.outputs]
    if state.take(name, "net"):
        known = tuple((n, s) for n, s in spaces if s is not None)
        model.nets[name.id] = ExternNetwork(name.id, tuple(n.id for n in statement.inputs), known, name.span)


def _warn_of_hidden_function(name: tree.Name, state: DeclarationPass) -> None:
    if name.id in FUNCTIONS:
        state.sink.add(
            "W114",
            name.span,
            f"net {name.id} hides the function {name.id} in this program",
            help=f"call it something else, such as {name.id}_net",
        )
