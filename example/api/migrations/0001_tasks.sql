-- The areas of the map, six by four.
CREATE TABLE tasks (
    id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    x integer NOT NULL,
    y integer NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'mapped', 'validated')),
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (x, y)
);

INSERT INTO tasks (x, y)
SELECT x, y FROM generate_series(0, 3) AS y, generate_series(0, 5) AS x;
