"""What the documents claim about speed and accuracy, as commands: `python -m benchmarks [NAME...]`."""
