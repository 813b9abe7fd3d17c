"""Which engines there are, which are chosen, and the loaded ones that every session shares."""
