-- What followed events: each row is a whole table with its span and the settings it came from.

CREATE TABLE scores (
  made_ms BIGINT NOT NULL PRIMARY KEY,
  from_ms BIGINT NOT NULL,
  to_ms BIGINT NOT NULL,
  source TEXT NOT NULL,
  settings TEXT NOT NULL,
  body BYTEA NOT NULL
);
