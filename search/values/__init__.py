"""The values that pass between rooms, and how they are formatted."""
