"""What is handed over at the end: one file for each part of the bundle."""
