"""How a published model is written down: its facts, as plain as a row of a table.

Out: the row's type, and the address of a repository on the hub at one commit. The rows are in `ears`, `minds` and
`voices`; `agent.models.catalogue` makes models of them. Sizes and checksums were gathered from public projects that
pin the same files and agree on them.
"""

from typing import Literal, NamedTuple

Stage = Literal["stt", "llm", "tts"]
FileFacts = tuple[str, int, str]  # name, size in bytes, sha256
MemberFacts = tuple[str, int]  # name, size in bytes


class Listing(NamedTuple):
    """One model as it is published; the fields are those of `agent.models.catalogue.Model`.

    Attributes:
        base_url: The address of each file is this, a slash and its name.
    """

    name: str
    stage: Stage
    engine: str
    description: str
    language: str
    licence: str
    base_url: str
    files: tuple[FileFacts, ...]
    members: tuple[MemberFacts, ...] = ()


def hub(repo_at_commit: str) -> str:
    """The base address of a repository's files: `owner/name@commit`, so that address and sha256 belong together."""
    repo, _, commit = repo_at_commit.partition("@")
    return f"https://huggingface.co/{repo}/resolve/{commit}"
