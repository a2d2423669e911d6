-- One row, which the scheduled job keeps fresh.
CREATE TABLE stats (
    id integer PRIMARY KEY CHECK (id = 1),
    open bigint NOT NULL,
    mapped bigint NOT NULL,
    validated bigint NOT NULL,
    refreshed_at timestamptz NOT NULL
);
