-- The gate's store. Times are seconds since the epoch unless the name says `_ms`; ids are UUIDs as text.
-- `epoch` counts the changes of a row: several gates on one store confirm what they hold by it.
-- Sets of clusters are JSON arrays; NULL is every cluster of the organization, `[]` none.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    epoch      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- An operator is a user without an organization, and has neither role nor clusters.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    organization  TEXT REFERENCES organizations (id),
    email         TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT,
    role          TEXT,
    clusters      TEXT,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER,
    epoch         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (id, organization),
    CHECK ((organization IS NULL) = (role IS NULL))
) STRICT;

-- Custom roles.
CREATE TABLE roles (
    organization TEXT NOT NULL REFERENCES organizations (id),
    name         TEXT NOT NULL,
    permissions  TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, name)
) STRICT;

-- A deleted cluster stays, so that its id is never given to another.
CREATE TABLE clusters (
    organization TEXT NOT NULL REFERENCES organizations (id),
    id           TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    deleted_at   INTEGER,
    epoch        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, id)
) STRICT;

-- API keys and agent tokens. The composite keys keep owner and cluster within the organization.
CREATE TABLE credentials (
    id               TEXT PRIMARY KEY,
    organization     TEXT NOT NULL REFERENCES organizations (id),
    kind             TEXT NOT NULL CHECK (kind IN ('api-key', 'agent')),
    name             TEXT NOT NULL,
    owner            TEXT,
    scopes           TEXT,
    allowed_clusters TEXT,
    cluster          TEXT,
    hash             BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    prefix           TEXT NOT NULL,
    last_four        TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER,
    revoked_at       INTEGER,
    epoch            INTEGER NOT NULL DEFAULT 0,
    FOREIGN KEY (owner, organization) REFERENCES users (id, organization),
    FOREIGN KEY (organization, cluster) REFERENCES clusters (organization, id),
    CHECK ((kind = 'agent') = (cluster IS NOT NULL)),
    CHECK (kind = 'api-key' OR (owner IS NULL AND scopes IS NULL AND allowed_clusters IS NULL))
) STRICT;

CREATE INDEX credentials_organization ON credentials (organization, id);
CREATE INDEX credentials_owner ON credentials (owner) WHERE owner IS NOT NULL;

CREATE TRIGGER credentials_are_immutable
BEFORE UPDATE OF id, organization, kind, name, owner, scopes, allowed_clusters, cluster, hash, prefix, last_four,
                 created_at, expires_at ON credentials
BEGIN
    SELECT RAISE(ABORT, 'a credential is immutable after minting');
END;

CREATE TRIGGER credentials_stay_revoked
BEFORE UPDATE OF revoked_at ON credentials WHEN OLD.revoked_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a revoked credential stays revoked');
END;

CREATE TRIGGER credentials_are_kept
BEFORE DELETE ON credentials
BEGIN
    SELECT RAISE(ABORT, 'a credential is kept after its end');
END;

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user       TEXT NOT NULL REFERENCES users (id),
    auth_time  INTEGER NOT NULL,
    mfa        INTEGER NOT NULL CHECK (mfa IN (0, 1)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    epoch      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX sessions_user ON sessions (user);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- What was changed, by whom: written in the transaction of the change itself.
CREATE TABLE events (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms        INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    organization TEXT,
    action       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    detail       TEXT NOT NULL
) STRICT;

CREATE TRIGGER events_are_immutable BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are only ever added');
END;

CREATE TRIGGER events_are_kept BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are only ever added');
END;
