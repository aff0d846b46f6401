"""Recognizes classes whose instances are stored as their fields, and takes instances apart and makes them again.

Recognizes a library by the attributes of its classes, so that nothing is imported here. Only calls the class itself.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from inspect import signature
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from .contents import Fields
from .instances import attributes_reader, names_in


class Record(NamedTuple):
    """How the instances of a class are stored.

    Attributes:
        parts: turns an instance into something storable.
        make: turns that into an instance again.
        names: the fields; None if instances can't change, and hold nothing that can.
        is_whole: whether an instance has nothing besides what is stored. None if its attributes show that.
    """

    parts: Callable[[Any], Any]
    make: Callable[[Any], Any]
    names: tuple[str, ...] | None = None
    is_whole: Callable[[Any], bool] | None = None


def record_of(kind: Any) -> Record | None:
    """How a class is stored; None if it isn't of a known kind."""
    for recognize in (_enum, _named_tuple, _struct, _pydantic_model, _attrs_class, _dataclass):
        record = recognize(kind)
        if record is not None:
            return record
    return None


def _enum(kind: Any) -> Record | None:
    if not issubclass(kind, Enum):
        return None
    return Record(attrgetter("_value_"), kind)


def _named_tuple(kind: Any) -> Record | None:
    if not (issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make")):
        return None
    names = kind._fields

    def parts(instance: Any) -> Fields:
        return Fields(zip(names, tuple.__iter__(instance), strict=True))

    return Record(parts, lambda content: kind(**_fields(content)), names)


def _struct(kind: Any) -> Record | None:
    if not issubclass(kind, msgspec.Struct):
        return None
    names, read = kind.__struct_fields__, attributes_reader(kind)
    strict = kind.__struct_config__.forbid_unknown_fields

    def parts(instance: Any) -> Fields:
        found = names_in(read, instance, names)
        return Fields((name, item) for name, item in found.items() if item is not msgspec.UNSET)

    def make(content: Any) -> Any:
        fields = _fields(content)
        return kind(**(fields if strict else {name: fields[name] for name in names if name in fields}))

    return Record(parts, make, names)


def _pydantic_model(kind: Any) -> Record | None:
    if not (isinstance(getattr(kind, "__pydantic_fields__", None), dict) and hasattr(kind, "model_validate")):
        return None
    if getattr(kind, "__pydantic_root_model__", False):
        return Record(attrgetter("root"), kind.model_validate, ("root",), _is_whole_model)
    names = {name: _input_name(kind, name, field) for name, field in kind.__pydantic_fields__.items()}
    takes_names = "by_name" in signature(kind.model_validate).parameters  # since pydantic 2.11

    def parts(instance: Any) -> Fields:
        return Fields({**instance.__dict__, **(getattr(instance, "__pydantic_extra__", None) or {})})

    def make(content: Any) -> Any:
        fields = _fields(content)
        if takes_names:
            return kind.model_validate(fields, by_name=True, by_alias=True)
        return kind.model_validate({names.get(name, name): item for name, item in fields.items()})

    return Record(parts, make, tuple(names), _is_whole_model)


def _is_whole_model(instance: Any) -> bool:
    """Whether a model would be read back whole: it has no private values, and all of its fields count as set."""
    return not instance.__pydantic_private__ and instance.__pydantic_fields_set__ >= instance.__dict__.keys()


def _input_name(kind: Any, name: str, field: Any) -> str:
    """The name by which a model's constructor takes a field."""
    if kind.model_config.get("populate_by_name") or kind.model_config.get("validate_by_name"):
        return name
    alias = field.validation_alias
    choices = getattr(alias, "choices", [alias])  # of an AliasChoices
    return next((choice for choice in choices if isinstance(choice, str)), name)


def _attrs_class(kind: Any) -> Record | None:
    fields = getattr(kind, "__attrs_attrs__", None)
    if fields is None:
        return None
    # Before attrs 22.2 a field had no alias, and the constructor took a private one without its underscore
    names = {field.name: getattr(field, "alias", None) or field.name.lstrip("_") for field in fields if field.init}
    return _constructed(kind, tuple(field.name for field in fields), names)


def _dataclass(kind: Any) -> Record | None:
    if not hasattr(kind, "__dataclass_fields__"):
        return None
    from dataclasses import fields as fields_of  # slow to import, and already imported if there is a dataclass

    fields: tuple[Any, ...] = fields_of(kind)
    names = {field.name: field.name for field in fields if field.init}
    return _constructed(kind, tuple(field.name for field in fields), names)


def _constructed(kind: Any, fields: tuple[str, ...], names: dict[str, str]) -> Record:
    """A class whose constructor takes some fields by name. The others are set afterwards."""
    read = attributes_reader(kind)

    def make(content: Any) -> Any:
        content = _fields(content)
        late = {name: content[name] for name in fields if name in content and name not in names}
        instance = kind(**{names.get(name, name): item for name, item in content.items() if name not in late})
        for name, item in late.items():
            object.__setattr__(instance, name, item)
        return instance

    return Record(lambda instance: names_in(read, instance, fields), make, fields)


def _fields(content: Any) -> dict[str, Any]:
    """The fields in a file. Other content doesn't come from such a class, and stays as it is."""
    if type(content) is not dict:
        raise NoRecord
    return content


class NoRecord(Exception):
    """The content isn't that of a record."""
