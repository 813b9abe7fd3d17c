"""The language models that can be fetched, for the engine that runs inside sotto."""

from agent.models.listing import Listing, hub


def _qwen3(parameters: str, description: str, commit: str, size_bytes: int, sha256: str) -> Listing:
    facts = (f"Qwen3-{parameters}-Q8_0.gguf", size_bytes, sha256)
    base_url = hub(f"Qwen/Qwen3-{parameters}-GGUF@{commit}")
    name = f"qwen3-{parameters}".lower()
    return Listing(name, "llm", "embedded", description, "multilingual", "Apache-2.0", base_url, (facts,))


LANGUAGE_MODELS: tuple[Listing, ...] = (
    _qwen3(
        "0.6B",
        "Qwen3 0.6B chat, 8 bits: the quicker one",
        "23749fefcc72300e3a2ad315e1317431b06b590a",
        639_446_688,
        "9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
    ),
    _qwen3(
        "1.7B",
        "Qwen3 1.7B chat, 8 bits: the better answers",
        "90862c4b9d2787eaed51d12237eafdfe7c5f6077",
        1_834_426_016,
        "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
    ),
)
