"""Which settings name a server: something beside the engines that run in sotto's own processes."""

from agent.settings.load import Settings


def servers_named(settings: Settings) -> list[str]:
    """The settings by which a conversation may need a server, each as it is told to the user, without addresses.

    Args:
        settings: Of the conversation, its persona's in them. What `auto` finds listening by itself is not named here.
    """
    llm, stt, tts, tools = settings.llm, settings.stt, settings.tts, settings.tools
    named: list[str] = []
    if llm.engine not in ("auto", "embedded"):
        named.append(f"llm.engine = {llm.engine}")
    if llm.base_url and llm.engine != "embedded":
        named.append("llm.base_url")
    large = settings.large
    if large.engine not in ("auto", "embedded"):
        named.append(f"large.engine = {large.engine}")
    if large.base_url and large.engine != "embedded":
        named.append("large.base_url")
    if stt.engine in ("openai", "foundry"):
        named.append(f"stt.engine = {stt.engine}")
    if stt.base_url and stt.engine in ("auto", "openai"):
        named.append("stt.base_url")
    if tts.engine == "openai":
        named.append("tts.engine = openai")
    if tts.base_url and tts.engine in ("auto", "openai"):
        named.append("tts.base_url")
    if tools.servers != "off":
        named += [f"mcp.servers.{name}" for name in settings.mcp.servers]
    if tools.home != "off" and settings.home.url:
        named.append("home.url")
    if settings.telemetry.otlp_endpoint:
        named.append("telemetry.otlp_endpoint")
    return named
