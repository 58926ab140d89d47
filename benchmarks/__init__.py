"""What the program costs, measured side by side with a floor: `python -m benchmarks` (or `make bench`)."""
