-- The last policies that were active, whole, so that a restart serves what was activated and a rollback needs nothing
-- but the store. Who activated what when is in the audit for good; here is each one's last time.
CREATE TABLE policies (
    -- `sha256:` and the hash of the component in hex.
    digest       TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    version      TEXT NOT NULL,
    added_at     INTEGER NOT NULL,
    -- Counts activations: the highest one is that of the active policy.
    activation   INTEGER NOT NULL UNIQUE,
    activated_at INTEGER NOT NULL,
    activated_by TEXT NOT NULL,
    source       TEXT NOT NULL CHECK (source IN ('start', 'file', 'push', 'rollback', 'promote', 'fault')),
    -- What the configuration named then, as `PolicyChange::Activate` has it.
    configured   TEXT NOT NULL,
    bytes        INTEGER NOT NULL
) STRICT;

-- Apart from what changes with each activation: to change one column writes the whole row.
CREATE TABLE policy_components (
    digest    TEXT PRIMARY KEY REFERENCES policies (digest) ON DELETE CASCADE,
    component BLOB NOT NULL
) STRICT;
