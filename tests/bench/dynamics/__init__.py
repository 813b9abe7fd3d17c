"""The dynamics of conversation: who speaks when, measured on the samples of recorded conversations.

    uv run python -m tests.bench.dynamics [--profile laptop|gpu|bundled|all] [--only KIND] [--quick] [--json PATH]

What people say, and the noises, lie on a timeline that the bench knows (`items`, `voices`, `noises`). The engines are
scripted with fixed delays (`engines`) and know what is said from that timeline (`stage`); the agent's voice is a code
in which every single sample can be found again (`code`). Sotto's wiring and Pipecat's own (`stock`) hold the same
conversations on the same transport (`drive`). Everything is read from what was played and remembered (`measure`), and
printed side by side (`report`).

Scripted are the delays of the profiles, and that recognition is perfect. The first token of a reply comes after the
model's delay, and a word follows every 25 ms (laptop) or 10 ms (GPU), as from a model that writes at that pace.
"""
