"""The tables, files and pages of a grid of runs, rewritten after every cell."""
