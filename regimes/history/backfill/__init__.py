"""Fills a folder of recordings from the exchange or from its public archive, a part at a time."""
