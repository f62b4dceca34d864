"""`convsearch doctor`: what this machine has, and what of it works."""
