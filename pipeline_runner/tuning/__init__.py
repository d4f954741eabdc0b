"""`prun tune`: a stage's own calls through every method that fits, measured side by side."""
