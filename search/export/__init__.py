"""What is handed over at the end: one file a part of the bundle."""
