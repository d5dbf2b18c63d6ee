-- The policy in the shadow of the active one, whole, so that a restart goes on with it: one at most. It is not among the
-- others, which have all been active.
CREATE TABLE shadow (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    -- `sha256:` and the hash of the component in hex.
    digest    TEXT NOT NULL,
    name      TEXT NOT NULL,
    version   TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    pushed_by TEXT NOT NULL,
    bytes     INTEGER NOT NULL,
    component BLOB NOT NULL
) STRICT;
