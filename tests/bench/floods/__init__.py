"""What floods cost a live call: its pong's time under each, behind our door and behind uvicorn's own."""
