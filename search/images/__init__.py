"""Image files: found in folders, scanned, and decoded in the one way that training and prediction share."""
