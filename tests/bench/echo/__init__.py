"""Echo: does the agent hear itself, does it hear the user cut in, and what does that cost?"""
