"""The agent's voice on its way out: the playout gate and loudness."""
