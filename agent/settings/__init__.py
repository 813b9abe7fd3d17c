"""Settings: what there is, where a value comes from, and what one session may change."""
