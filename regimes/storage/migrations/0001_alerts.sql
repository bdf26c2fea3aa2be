-- Events, what was decided about them, and the outbox.

CREATE TABLE market_events (
  id TEXT NOT NULL,
  revision BIGINT NOT NULL,
  position BIGINT NOT NULL,
  event_type TEXT NOT NULL,
  symbol TEXT NOT NULL,
  severity TEXT NOT NULL,
  phase TEXT NOT NULL,
  started_ms BIGINT NOT NULL,
  ts_ms BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (id, revision)
);
CREATE INDEX market_events_position ON market_events (position, id, revision);
CREATE INDEX market_events_started ON market_events (started_ms, id);
CREATE INDEX market_events_closed ON market_events (ts_ms) WHERE phase = 'closed';

CREATE TABLE decisions (
  event_id TEXT NOT NULL,
  revision BIGINT NOT NULL,
  endpoint TEXT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  words TEXT NOT NULL,
  ts_ms BIGINT NOT NULL,
  PRIMARY KEY (event_id, ts_ms, revision, endpoint, action)
);
CREATE INDEX decisions_ts ON decisions (ts_ms);

CREATE TABLE deliveries (
  id TEXT NOT NULL PRIMARY KEY,
  event_id TEXT NOT NULL,
  revision BIGINT NOT NULL,
  endpoint TEXT NOT NULL,
  collapse_key TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  next_at_ms BIGINT NOT NULL,
  expires_at_ms BIGINT NOT NULL,
  message BYTEA NOT NULL,
  reminder BIGINT NOT NULL,
  status TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  lease_until_ms BIGINT,
  provider_message_id TEXT,
  is_replay BIGINT NOT NULL,
  UNIQUE (event_id, endpoint, revision, reminder)
);
CREATE INDEX deliveries_pending ON deliveries (endpoint, created_ms, id) WHERE status = 'pending';
CREATE INDEX deliveries_collapse ON deliveries (endpoint, collapse_key) WHERE status = 'pending';
CREATE INDEX deliveries_leased ON deliveries (endpoint, collapse_key) WHERE lease_until_ms IS NOT NULL;
CREATE INDEX deliveries_created ON deliveries (created_ms, id);

CREATE TABLE webhook_logs (
  delivery_id TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  started_ms BIGINT NOT NULL,
  duration_ms BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  status_code BIGINT,
  note TEXT NOT NULL,
  is_replay BIGINT NOT NULL,
  PRIMARY KEY (delivery_id, started_ms, attempt)
);
CREATE INDEX webhook_logs_started ON webhook_logs (started_ms);

CREATE TABLE endpoints (
  name TEXT NOT NULL PRIMARY KEY,
  state BYTEA NOT NULL
);

CREATE TABLE silences (
  id TEXT NOT NULL PRIMARY KEY,
  created_ms BIGINT NOT NULL,
  until_ms BIGINT NOT NULL,
  comment TEXT NOT NULL,
  event_type TEXT NOT NULL,
  symbol TEXT NOT NULL,
  up_to BIGINT NOT NULL
);

CREATE TABLE engine_state (
  name TEXT NOT NULL PRIMARY KEY,
  body BYTEA NOT NULL
);
