"""The section `wake`: the words that the agent sleeps until it hears."""

from typing import Literal

from pydantic import Field

from agent.settings.section import CommaList, Section

WakeEngineName = Literal["auto", "pymicro"]


class WakeSettings(Section):
    """Wake words."""

    engine: WakeEngineName = Field("auto", description="what hears them; auto takes what is installed")
    words: CommaList = Field(
        default_factory=list,
        max_length=8,
        description="it sleeps until it hears one: alexa, hey_jarvis, hey_mycroft, okay_nabu; none: it never sleeps",
    )
    awake_secs: float = Field(8.0, ge=1, le=3600, description="how long it stays awake after the last turn")
    sound: bool = Field(True, description="answer the word with a short sound")
    threshold: float | None = Field(
        None, gt=0, lt=1, description="probability from which a word counts; default: each word's own, 0.85 to 0.97"
    )
