-- The audit: what was asked and what was changed, one JSON line each, in a chain of hashes (docs/audit.md). A record's
-- hash is SHA-256 over the hash before it and its line. Segments are pieces of the chain: closed and signed as a whole,
-- and deleted as a whole when they are too old.

CREATE TABLE audit_segments (
    id        INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL UNIQUE,
    -- The hash before its first record: 32 zero bytes, or the one that the segment before it ends with.
    previous  BLOB NOT NULL CHECK (length(previous) = 32),
    opened_ms INTEGER NOT NULL,
    last_seq  INTEGER,
    hash      BLOB CHECK (length(hash) = 32),
    closed_ms INTEGER,
    key_id    TEXT,
    signature BLOB,
    pruned_ms INTEGER,
    CHECK ((last_seq IS NULL) = (hash IS NULL) AND (last_seq IS NULL) = (closed_ms IS NULL)),
    CHECK ((key_id IS NULL) = (signature IS NULL)),
    CHECK (last_seq IS NOT NULL OR (key_id IS NULL AND pruned_ms IS NULL))
) STRICT;

-- Every column but `seq`, `segment` and `hash` says again what the line says, to be searched by.
CREATE TABLE audit (
    seq          INTEGER PRIMARY KEY,
    segment      INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('request', 'change')),
    organization TEXT,
    user         TEXT,
    credential   TEXT,
    action       TEXT,
    subject      TEXT,
    outcome      TEXT,
    reason       TEXT,
    line         TEXT NOT NULL,
    hash         BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX audit_organization ON audit (organization, seq);
CREATE INDEX audit_credential ON audit (credential, seq) WHERE credential IS NOT NULL;
CREATE INDEX audit_user ON audit (user, seq) WHERE user IS NOT NULL;
CREATE INDEX audit_subject ON audit (subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX audit_at_ms ON audit (at_ms);

CREATE TRIGGER audit_is_immutable BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are only ever added');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_segments WHERE id = OLD.segment AND pruned_ms IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'audit records are kept until their whole segment is pruned');
END;

CREATE TRIGGER audit_segments_start_is_immutable
BEFORE UPDATE OF id, first_seq, previous, opened_ms ON audit_segments
BEGIN
    SELECT RAISE(ABORT, 'where a segment starts never changes');
END;

CREATE TRIGGER audit_segments_stay_closed
BEFORE UPDATE OF last_seq, hash, closed_ms, key_id, signature ON audit_segments WHEN OLD.last_seq IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a closed segment stays as it is');
END;

CREATE TRIGGER audit_segments_stay_pruned
BEFORE UPDATE OF pruned_ms ON audit_segments WHEN OLD.pruned_ms IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a pruned segment stays pruned');
END;

CREATE TRIGGER audit_segments_are_kept BEFORE DELETE ON audit_segments
BEGIN
    SELECT RAISE(ABORT, 'segments are kept, also when their records are pruned');
END;

-- When a credential or session was last admitted, to within seconds.
CREATE TABLE last_uses (
    credential TEXT PRIMARY KEY,
    used_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
