"""OpenAI's Realtime protocol (GA) at /v1/realtime: one more door to the same conversation."""
