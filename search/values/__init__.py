"""The values that pass between rooms, and the words for them."""
