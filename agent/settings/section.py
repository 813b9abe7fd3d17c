"""What every section of the settings is made of."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator
from pydantic_settings import NoDecode


def split_at_commas(value: Any) -> Any:
    """One text from a flag or the environment as a list; lists from a file stay."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)]


class Section(BaseModel):
    """Immutable once read; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        return without_nul(value)


def without_nul(value: Any) -> Any:
    """The value; what is text in it can be a file's name, an argument and a header.

    Raises:
        ValueError: It holds the character NUL.
    """
    if isinstance(value, str) and "\0" in value:
        raise ValueError("it holds the character NUL")
    return value
