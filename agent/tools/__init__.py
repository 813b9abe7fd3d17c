"""What the agent can do: one tool a file, the box that runs them, and what it does without a language model."""
