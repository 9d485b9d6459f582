"""A manifest's text as a document: YAML by anybody, that takes no more room than it shows."""

from __future__ import annotations

from typing import Any, Final

import yaml

from edge.domain.errors import BundleRejectedError

DEPTH_MAX: Final = 32
VALUES_MAX: Final = 200_000  # with every alias written out


class _Plain(yaml.SafeLoader):
    """Takes no merge keys (`<<`), with which a few lines stand for billions."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave a mapping as it is.

        Raises:
            ComposerError: It has a merge key.
        """
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.composer.ComposerError(None, None, "a merge key (<<) is not taken", node.start_mark)


def read_document(text: str, *, origin: str) -> Any:
    """Read YAML into plain values.

    Args:
        text: YAML.
        origin: Names it in errors.

    Raises:
        BundleRejectedError: It is none, or stands for more than it shows.
    """
    try:
        document = yaml.load(text, Loader=_Plain)  # noqa: S506  # a SafeLoader that takes less
        values = _values(document, {}, depth=0)
    except yaml.YAMLError as error:
        raise BundleRejectedError(f"{origin}: not YAML: {error}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:  # a date that is none …
        raise BundleRejectedError(f"{origin}: not YAML: {str(error)[:200]}") from error
    if values > VALUES_MAX:
        raise BundleRejectedError(
            f"{origin}: stands for {values} values once its aliases are written out, "
            f"at most {VALUES_MAX} are allowed"
        )
    return document


def _values(value: Any, known: dict[int, int], *, depth: int) -> int:
    """Count the values in a value, as if nothing were shared.

    Raises:
        ValueError: It lies too deep, or within itself.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        if depth > DEPTH_MAX:
            raise ValueError(f"more than {DEPTH_MAX} levels, or a value that holds itself")
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_values(one, known, depth=depth + 1) for one in inner)
    return known[id(value)]
