"""Measurements; run each alone on a quiet machine: `uv run python -m tests.bench.NAME`.

serve          start-up time, memory idle and in conversation, a second conversation's memory
conversation   event-loop lag and voice-to-voice latency of the bundled engines
engines        time to the first sound of each synthesizer, time to the final words of each recognizer
"""
