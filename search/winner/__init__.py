"""From the best trials to the bundle: repeats with other seeds, the long training, the one test."""
