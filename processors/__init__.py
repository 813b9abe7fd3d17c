"""The steps of the conversation, one a file: a frame in, a frame out."""
