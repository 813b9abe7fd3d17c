"""Who speaks when: the end of the user's turn, barge-in, speculation, what was heard."""
