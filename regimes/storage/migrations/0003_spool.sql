-- Changes made while another database was away, waiting to flow back to it; and, there, how far each spool has.

CREATE TABLE spool (
  seq BIGINT NOT NULL PRIMARY KEY,
  ts_ms BIGINT NOT NULL,
  replaces TEXT,
  body BYTEA NOT NULL
);
CREATE INDEX spool_replaces ON spool (replaces) WHERE replaces IS NOT NULL;

CREATE TABLE spool_progress (
  spool_id TEXT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
);
