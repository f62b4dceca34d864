"""The memory that training takes: reckoned from the arithmetic, before anything is built."""
