"""A study that several loops share in PostgreSQL."""
