"""Where images come from: one file a source, all brought to memory-mapped arrays."""
