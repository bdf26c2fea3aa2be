"""How good the signals are: walk-forward, on real data, beside the models one would take from a library."""
