"""Parses a program, one statement at a time, so that one bad statement does not hide the next."""

import re

from lark import Token, UnexpectedInput
from lark.exceptions import VisitError

from pgcompile.diagnostics import Sink, Span
from pgcompile.syntax import tree
from pgcompile.syntax.children import NameError_, OperatorError, PipelineError
from pgcompile.syntax.depth import MAX_DEPTH, too_deep
from pgcompile.syntax.foreign import double_equals, foreign_tail, foreign_word
from pgcompile.syntax.grammar import parser
from pgcompile.syntax.lines import Line, declared_names, split
from pgcompile.syntax.messages import syntax_message
from pgcompile.syntax.place import span as span_of

MAX_SYNTAX_ERRORS = 50


def parse(sink: Sink) -> tree.Program:
    """The tree of `sink.source`; statements that cannot be read are reported and left out."""
    lines, comments = split(sink)
    statements: list[tree.Statement] = []
    failures = 0
    for line in lines:
        statement = _parse_line(line, sink)
        if statement is not None:
            statements.append(statement)
            continue
        sink.unread |= declared_names(line.tokens)
        failures += 1
        if failures == MAX_SYNTAX_ERRORS:
            sink.add(
                "PGC006",
                span_of(line.tokens[0]),
                f"{MAX_SYNTAX_ERRORS} statements cannot be read; the rest of the program was not looked at",
                help="is this a pgc program?",
            )
            break
    if not statements and not sink.has_errors:
        sink.add("PGC004", Span(0, 0), "the program is empty", help="start with a model, such as `p(x|z) p(z)`")
    return tree.Program(tuple(statements), comments)


def _parse_line(line: Line, sink: Sink) -> tree.Statement | None:
    foreign = foreign_word(line.tokens) or foreign_tail(line.tokens) or double_equals(line.tokens)
    if foreign is not None:
        sink.add("PGC006", foreign.at or span_of(line.tokens[0]), foreign.text, help=foreign.help, edits=foreign.edits)
        return None
    state = parser().parse_interactive("")
    token = line.tokens[0]
    try:
        for token in line.tokens:
            state.feed_token(token)
        result: tree.Statement = state.feed_token(Token.new_borrow_pos("$END", "", line.tokens[-1]))
        deep = too_deep(result)
        if deep is None:
            return result
        sink.add("PGC003", deep, f"this is nested more than {MAX_DEPTH} deep", help="name some of its parts")
    except UnexpectedInput as error:
        at_end = getattr(error, "token", token).type == "$END"
        message = syntax_message(line.tokens, None if at_end else token, set(state.accepts()))
        place = span_of(line.tokens[-1]) if at_end else span_of(token)
        sink.add("PGC006", message.at or place, message.text, help=message.help, edits=message.edits)
    except (NameError_, OperatorError, VisitError) as error:
        cause = error.orig_exc if isinstance(error, VisitError) else error
        _report(cause, sink)
    return None


def _report(cause: Exception, sink: Sink) -> None:
    match cause:
        case NameError_() if cause.text.endswith(".inv"):
            flow = cause.text.removesuffix(".inv")
            sink.add(
                "PGC111",
                cause.span,
                f"`{cause.text}` is the inverse of the flow {flow}, and no name of its own",
                help=f"declare {flow}: its inverse comes with it",
            )
        case NameError_() if re.search(r"_\{[^{}]*[-+][^{}]*\}$", cause.text):
            sink.add(
                "PGC118",
                cause.span,
                f"`{cause.text}` is at a place that is not known: it is a fixed number of places from an index",
                help="write `z_{t-1}`, say, or carry what is needed in a variable of its own",
            )
        case NameError_():
            sink.add(
                "PGC111",
                cause.span,
                f"`{cause.text}` is not a name",
                help="start with a letter; a subscript is letters and digits, as in `p_prior` or `z_{1}`",
            )
        case PipelineError():
            sink.add("PGC006", cause.span, cause.message, help=cause.help)
        case OperatorError():
            sink.add("PGC010", cause.span, cause.message, help=cause.help)
        case _:
            raise cause
