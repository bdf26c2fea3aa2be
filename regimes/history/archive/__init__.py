"""The exchange's public archive: zips of candles and settled funding, a month or a day each, in a folder."""
