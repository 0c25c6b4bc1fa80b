"""The stages of benchmarks/gpu_campaign.py."""
