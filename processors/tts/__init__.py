"""Text to speech: one synthesizer protocol, one Pipecat service, and the engines behind them."""
