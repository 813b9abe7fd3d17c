"""The telephone door: providers' media streams in the place of a page."""
