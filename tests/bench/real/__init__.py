"""Real weights in conversation: Pipecat's own services in its plain wiring beside sotto, question by question."""
