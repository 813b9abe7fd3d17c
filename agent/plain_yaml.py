"""YAML that a user wrote: mappings, lists and scalars, and nothing that grows or runs."""

from typing import Any

import yaml


def plain_yaml(text: str) -> Any:
    """What it says.

    Raises:
        ValueError: It is no YAML, or more than mappings, lists and scalars; the message tells the place.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


class _PlainLoader(yaml.SafeLoader):
    """Mappings, lists and scalars; each that cannot be read is an error with its place in the file."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """What a node stands for."""
        try:
            return super().construct_object(node, deep)
        # PyYAML lets through what its scalars meet: a 13th month, `!!bool x`, thousands of digits.
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"this is no {kind}", node.start_mark) from error

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse `<<`: a few lines of it can stand for more than fits into the memory."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "<< is not read here", node.start_mark)
