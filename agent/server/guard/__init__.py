"""What stands in front of every route: hosts, origins, tokens, certificates."""
