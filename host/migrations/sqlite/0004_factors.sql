-- Second factors (TOTP, RFC 6238). The secret is sealed with a key that is not in the store.
CREATE TABLE factors (
    user         TEXT PRIMARY KEY REFERENCES users (id),
    secret       BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    -- Until then it is an enrolment, which asks nobody for a code.
    confirmed_at INTEGER,
    -- The step of the last code that was accepted: none of it or of one before is accepted again.
    last_step    INTEGER NOT NULL DEFAULT 0,
    -- Wrong codes since the last right one, and until when codes are not looked at because of them.
    failures     INTEGER NOT NULL DEFAULT 0,
    locked_until INTEGER
) STRICT;

-- What may stand for a code, each once: SHA-256 of random codes.
CREATE TABLE recovery_codes (
    user    TEXT NOT NULL REFERENCES factors (user) ON DELETE CASCADE,
    hash    BLOB NOT NULL CHECK (length(hash) = 32),
    used_at INTEGER,
    PRIMARY KEY (user, hash)
) STRICT;
