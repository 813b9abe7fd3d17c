"""Measurements; run each alone on a quiet machine: `uv run python -m tests.bench.NAME`.

serve          start-up time, memory idle and in conversation, a second conversation's memory
dynamics       who speaks when: stock wiring and ours side by side, on labelled recordings
echo           an open loudspeaker in simulated rooms: what the agent hears of itself, and of the user
real           voice to voice with real weights, Pipecat's own services and sotto side by side: `--models DIR`
page           the page in Chromium, its CPU slowed 4 times: until usable, a word of caption at 400 turns: `--base REV`
conversation   event-loop lag and voice-to-voice latency of the bundled engines
engines        time to the first sound of each synthesizer
recognition    partial and final latency of each recognizer, processor time per second of sound
speech_api     the HTTP API against its engine called directly; 1, 4, 8 requests at a time
"""
