-- Rotation: a successor names the key that it follows, which ends at `retires_at`, or before that by its expiry.
ALTER TABLE credentials ADD COLUMN predecessor TEXT REFERENCES credentials (id);
ALTER TABLE credentials ADD COLUMN retires_at INTEGER;
-- Made by its predecessor itself, not by a person: whoever stole that may have made it, and it ends with it.
ALTER TABLE credentials ADD COLUMN self_rotated INTEGER NOT NULL DEFAULT 0 CHECK (self_rotated IN (0, 1));

CREATE UNIQUE INDEX credentials_predecessor ON credentials (predecessor) WHERE predecessor IS NOT NULL;

DROP INDEX credentials_owner;
CREATE INDEX credentials_owner ON credentials (owner, id) WHERE owner IS NOT NULL;

CREATE TRIGGER credentials_keep_their_predecessor
BEFORE UPDATE OF predecessor ON credentials
BEGIN
    SELECT RAISE(ABORT, 'a credential is immutable after minting');
END;

CREATE TRIGGER credentials_only_ever_end_earlier
BEFORE UPDATE OF retires_at ON credentials
WHEN OLD.retires_at IS NOT NULL AND (NEW.retires_at IS NULL OR NEW.retires_at > OLD.retires_at)
BEGIN
    SELECT RAISE(ABORT, 'a credential that was rotated does not live longer again');
END;

-- What was made for a request that may be sent again: its answer is the same, without the secret.
CREATE TABLE idempotency (
    actor       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    subject     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_created_at ON idempotency (created_at);

-- One for each user at most: whoever presents it may choose the user's password, once.
CREATE TABLE invitations (
    user       TEXT PRIMARY KEY REFERENCES users (id),
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX users_organization ON users (organization, email);
