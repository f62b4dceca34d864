"""The figures of one trial: one file each."""
