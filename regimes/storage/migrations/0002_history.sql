-- Raw liquidations, so that a restart continues its windows, and readings for history.

CREATE TABLE liquidations (
  ts_ms BIGINT NOT NULL,
  venue TEXT NOT NULL,
  symbol TEXT NOT NULL,
  closed TEXT NOT NULL,
  fill_price DOUBLE PRECISION NOT NULL,
  base_qty DOUBLE PRECISION NOT NULL,
  quote_usd DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (ts_ms, venue, symbol, closed, fill_price, base_qty)
);
CREATE INDEX liquidations_symbol ON liquidations (symbol, ts_ms);

CREATE TABLE readings (
  ts_ms BIGINT NOT NULL,
  feature TEXT NOT NULL,
  symbol TEXT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (feature, symbol, ts_ms)
);
CREATE INDEX readings_ts ON readings (ts_ms);
