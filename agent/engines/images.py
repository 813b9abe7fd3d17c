"""Asks a language model's server whether its model takes pictures.

Ollama tells it at /api/show (capabilities), llama.cpp's server at /props (modalities), LM Studio at /api/v0/models
(type vlm). vLLM does not tell: `llm.images = on` says so. Nothing is sent but the model's name.
Sources: docs/api.md of Ollama; tools/server/README.md of llama.cpp; LM Studio's REST API v0.
"""

from agent.engines.look_ups import LookUps


async def takes_images(server: LookUps, make: str, model: str) -> bool:
    """Whether the model takes pictures; False where the server does not tell.

    Args:
        server: Is asked.
        make: `ollama`, `vllm`, `llamacpp`, `lmstudio`, `embedded`, or `endpoint` for a server of unknown make.
        model: The model's name there.
    """
    if make == "ollama":
        capabilities = (await server.ask("/api/show", {"model": model})).get("capabilities")
        return isinstance(capabilities, list) and "vision" in capabilities
    if make == "lmstudio":
        entries = (await server.ask("/api/v0/models")).get("data")
        found = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
        return any(one.get("id") == model and one.get("type") == "vlm" for one in found)
    if make in ("llamacpp", "embedded", "endpoint"):
        modalities = (await server.ask("/props")).get("modalities")
        return isinstance(modalities, dict) and modalities.get("vision") is True
    return False
