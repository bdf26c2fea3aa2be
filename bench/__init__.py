"""Benchmarks: each measures the product beside its peers in the same run."""
