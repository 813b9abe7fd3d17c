"""The OpenAI-compatible speech API."""
