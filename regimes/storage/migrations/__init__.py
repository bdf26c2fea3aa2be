"""The steps of the schema: `0001_name.sql` and on, valid in SQLite and PostgreSQL alike, no `;` inside a statement."""
