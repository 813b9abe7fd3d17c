"""Where the bytes of a model's file may come from; one file a source, one protocol for all (`source.Source`)."""
