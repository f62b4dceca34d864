"""What a study has found: as tables for people and as JSON for scripts."""
