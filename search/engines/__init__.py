"""What proposes candidates: one file an engine, behind one protocol."""
