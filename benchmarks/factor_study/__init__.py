"""What benchmarks/factors.py is made of."""
