"""The section `interpreter`: translating what is said instead of answering it, one way or both."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from agent.settings.section import CommaList, Section
from agent.settings.sections import spoken_language


class InterpreterSettings(Section):
    """Translating what is said instead of answering it."""

    into: Annotated[str | None, AfterValidator(lambda text: text and spoken_language(text))] = Field(
        None, description="the language that everything said comes out in, sentence by sentence; none: it answers"
    )
    languages: CommaList = Field(
        default_factory=list,
        description="both ways: two languages, such as de,en; what is said in one comes out in the other; above into",
    )

    @field_validator("languages", mode="before")
    @classmethod
    def _may_be_none(cls, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and not value.strip(" ,"):
            raise ValueError("name two languages, such as de,en")
        return [] if value is None else value

    @property
    def is_on(self) -> bool:
        """Whether it translates instead of answering."""
        return self.into is not None or bool(self.languages)

    @property
    def pair(self) -> tuple[str, str] | None:
        """The two languages, ISO 639-1; None where it translates one way or not at all."""
        return (self.languages[0], self.languages[1]) if self.languages else None

    @field_validator("into")
    @classmethod
    def _is_one(cls, value: str | None) -> str | None:
        if value == "auto":
            raise ValueError("name the language that is to come out, such as en")
        return value

    @field_validator("languages")
    @classmethod
    def _are_two(cls, value: list[str]) -> list[str]:
        read = [spoken_language(text) for text in value]
        if read and (len(read) != 2 or read[0] == read[1] or "auto" in read):
            raise ValueError("name two languages, such as de,en")
        return read
