"""The model's fields as data: what the loader, the reference and the JSON schema are made from."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from keyword import iskeyword
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from haproxy_voip.configuration.kinds import Kind


@dataclass(frozen=True, slots=True)
class Field:
    """One key: what it is called, what may stand there and what it means.

    `kind` is set for a value, `section` for a nested dataclass. `many` makes a list of values, or sections under
    names of the operator's choice.
    """

    name: str
    doc: str
    required: bool
    default: object
    kind: Kind | None
    section: type | None
    many: bool

    @property
    def attribute(self) -> str:
        """What the model calls it: a key that is a word of Python has a `_` behind it there."""
        return f"{self.name}_" if iskeyword(self.name) else self.name


@cache
def fields_of(section: type) -> tuple[Field, ...]:
    """The keys of a section, in the model's order. A bare `str` is none: it is the name the section stands under."""
    hints = get_type_hints(section, include_extras=True)
    docs = _docs(section)
    return tuple(
        _field(field, hints[field.name], docs[field.name])
        for field in dataclasses.fields(section)
        if hints[field.name] is not str
    )


def _field(field: dataclasses.Field[object], hint: object, doc: str) -> Field:
    name, inner = field.name.removesuffix("_"), _without_none(hint)
    many = get_origin(inner) is tuple
    if many:
        inner = get_args(inner)[0]
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    if get_origin(inner) is Annotated:
        kind = next(extra for extra in get_args(inner)[1:] if isinstance(extra, Kind))
        return Field(name, doc, required, field.default, kind, None, many)
    assert isinstance(inner, type), f"{field.name} has neither a kind nor a section"
    default = None if field.default is None else dataclasses.MISSING
    return Field(name, doc, required, default, None, inner, many)


def _without_none(hint: object) -> object:
    """`X` of `X | None`."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    return next(option for option in get_args(hint) if option is not NoneType)


def _docs(section: type) -> dict[str, str]:
    """The string under each field, which Python itself throws away."""
    found = ast.parse(textwrap.dedent(inspect.getsource(section))).body[0]
    assert isinstance(found, ast.ClassDef)
    docs = {}
    for statement, following in zip(found.body, found.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = inspect.cleandoc(text)
    return docs
