"""Speech to text: one recognizer protocol, one Pipecat service, and the engines behind them."""
