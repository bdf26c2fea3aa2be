"""`regimes load-test`: so much market, so many viewers and receivers, and whether the service keeps up."""
