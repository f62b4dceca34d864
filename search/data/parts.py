"""The words for the parts of a data set, as folders and tables have them."""

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""The part, "train", "val" or "test", that each word means, in lower case."""
