"""Where trials run: one file an executor, behind one protocol."""
