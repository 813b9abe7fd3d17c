"""How many conversations by WebRTC one machine holds: Sotto's wiring beside Pipecat's own."""
