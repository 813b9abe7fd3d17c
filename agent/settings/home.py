"""Settings of Home Assistant: `[home]`."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from agent.settings.addresses import http_address
from agent.settings.header_values import Token
from agent.settings.section import NoDecode, Section, split_at_commas

_ENTITY = re.compile(r"[a-z0-9_*?]+\.[a-z0-9_*?]+")


class HomeSettings(Section):
    """Home Assistant, by its REST API."""

    url: Annotated[
        str | None,
        http_address("http://homeassistant.local:8123"),
        AfterValidator(lambda url: url and url.rstrip("/")),
    ] = Field(None, description="where Home Assistant is, such as http://homeassistant.local:8123")
    token: Token = Field(None, description="a long-lived access token of your profile there")
    entities: Annotated[list[str], NoDecode, BeforeValidator(split_at_commas)] = Field(
        default_factory=list,
        description="what may be used, such as light.*,climate.hall; default: what is exposed to Assist there",
    )
    max_entities: int = Field(25, ge=1, le=500, description="the model is told of no more of them at a time")
    timeout_secs: float = Field(5.0, gt=0, le=60, description="Home Assistant is given up after this")

    @field_validator("entities")
    @classmethod
    def _are_entities(cls, entities: list[str]) -> list[str]:
        for entity in entities:
            if not _ENTITY.fullmatch(entity):
                raise ValueError(f"{entity[:60]!r} is no entity, such as light.kitchen or light.*")
        return entities

    @model_validator(mode="after")
    def _both(self) -> "HomeSettings":
        if (self.url is None) != (self.token is None):
            raise ValueError("home.url and home.token go together; one of them is missing")
        return self
