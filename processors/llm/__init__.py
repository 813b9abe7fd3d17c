"""The language model's service, and what surrounds its replies."""
