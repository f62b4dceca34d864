"""The results of a study: as tables for people and as JSON for scripts."""
