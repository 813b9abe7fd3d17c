"""Live calls: who is in which session, over WebRTC or a WebSocket."""
