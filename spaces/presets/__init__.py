"""Ready spaces, each a readable example."""
