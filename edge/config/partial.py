"""What is wrong with a wish of the fleet, seen from a desk that does not have the device's own file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from edge.config.document import Document, Path, Problem
from edge.config.fields import NAME_PATTERN, PATTERNS_IN_WORDS, Section
from edge.config.named import NAMED, paths_in
from edge.config.problems import guess, in_words, shown
from edge.config.schema import Config

_VALUE: Final = "value"  # the one field of the form that a single option is tried on


def check_partial(overlay: Mapping[str, Any]) -> list[Problem]:
    """Return everything that is wrong with a wish, each value against its own option.

    What is left out is the device's own, so nothing is missing here, and what has to fit together (quiet_s
    below deadline_s) is checked on the device only. An entry that does not say its `kind` may be of any.

    Args:
        overlay: `sources` and `pipelines` are mappings by name.
    """
    return list(_section(overlay, (Config,), ()))


def is_option(path: Path) -> bool:
    """Return whether a path leads to an option, or to a section; `*` stands for any step."""
    forms: tuple[type[BaseModel], ...] = (Config,)
    for number, step in enumerate(path):
        if number == 1 and path[0] in NAMED:
            continue  # the name of an entry
        fields = [field for form in forms for key, field in form.model_fields.items() if step in ("*", key)]
        if not fields:
            return False
        is_list = number == 0 and step in NAMED
        forms = tuple(
            form
            for field in fields
            for form in _forms(get_args(field.annotation)[0] if is_list else field.annotation)
        )
    return True


def _section(tree: Mapping[str, Any], forms: Sequence[type[BaseModel]], path: Path) -> Iterator[Problem]:
    """Check a section that may be of any of several forms."""
    known = list(dict.fromkeys(key for form in forms for key in form.model_fields))
    for key, value in tree.items():
        here = (*path, key)
        fields = [(form, form.model_fields[key]) for form in forms if key in form.model_fields]
        if not fields:
            yield Problem(here, f"unknown key{guess(str(key), known)}; allowed: {', '.join(known)}")
        elif path == () and key in NAMED:
            yield from _entries(value, _forms(get_args(fields[0][1].annotation)[0]), here)
        else:
            yield from _option(value, fields, here)


def _entries(value: Any, forms: Sequence[type[BaseModel]], path: Path) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(path, f'wanted a mapping by name, such as {{"{path[0]}": {{"NAME": {{…}}}}}}')
        return
    for name, entry in value.items():
        here = (*path, name)
        if not _is_name(name):
            yield Problem(here, f"is called {str(name)[:64]!r}; allowed: {PATTERNS_IN_WORDS[NAME_PATTERN]}")
        elif isinstance(entry, Mapping):
            yield from _of_a_kind(entry, forms, here)
        elif entry is not None:
            yield Problem(here, f"is {shown(entry)}; wanted a mapping, or null to take it away")


def _of_a_kind(entry: Mapping[str, Any], forms: Sequence[type[BaseModel]], path: Path) -> Iterator[Problem]:
    """Check a section that says of which kind it is, or leaves it open."""
    if "name" in entry and len(path) == 2:
        yield Problem((*path, "name"), "wanted without it: its key is its name")
        entry = {key: value for key, value in entry.items() if key != "name"}
    if "kind" in entry:
        kinds = {get_args(form.model_fields["kind"].annotation)[0]: form for form in forms}
        said = entry["kind"]
        if not isinstance(said, str) or said not in kinds:
            close = guess(str(said), kinds)
            yield Problem((*path, "kind"), f"is {shown(said)}; allowed: {', '.join(kinds)}{close}")
            return
        forms = (kinds[said],)
    fitting = [sum(key in form.model_fields for key in entry) for form in forms]
    likely = [form for form, fits in zip(forms, fitting, strict=True) if fits == max(fitting)]
    yield from _section(entry, likely, path)


def _option(value: Any, fields: Sequence[tuple[type[BaseModel], FieldInfo]], path: Path) -> Iterator[Problem]:
    """Check one option; where it may be one of several, it has to do for one of them."""
    inner = tuple(dict.fromkeys(form for _, field in fields for form in _forms(field.annotation)))
    if inner and isinstance(value, Mapping):
        is_of_a_kind = all("kind" in form.model_fields for form in inner)
        yield from _of_a_kind(value, inner, path) if is_of_a_kind else _section(value, inner, path)
        return
    refusals = [_refusals(value, form, str(path[-1]), path) for form, _ in fields]
    if all(refusals):
        yield from refusals[0]


def _refusals(value: Any, form: type[BaseModel], key: str, path: Path) -> list[Problem]:
    alone = _alone(form, key)
    try:
        alone.model_validate_json(json.dumps({_VALUE: value}))
    except ValidationError as errors:
        tree = Document(value={_VALUE: value}, lines=dict.fromkeys(paths_in(value, (_VALUE,)), 0))
        return [
            Problem((*path, *one.path[1:]), one.what) for one in in_words(errors, root=alone, document=tree)
        ]
    return []


@cache
def _alone(form: type[BaseModel], key: str) -> type[BaseModel]:
    """Return a form with this one option of another, that must be given."""
    field = form.model_fields[key]
    annotation: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    given: dict[str, Any] = {_VALUE: (annotation, Field(discriminator=field.discriminator))}
    return create_model("Alone", __base__=Section, **given)


def _forms(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the sections that an option may be; () for one that holds a value or a list."""
    if isinstance(annotation, type):
        return (annotation,) if issubclass(annotation, BaseModel) else ()
    if get_origin(annotation) in (tuple, list):
        return ()
    return tuple(form for inner in get_args(annotation) for form in _forms(inner))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) is not None
