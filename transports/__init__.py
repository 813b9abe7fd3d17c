"""The edges: where sound enters and leaves."""
