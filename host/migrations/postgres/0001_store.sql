-- The gate's store, as of step 8 of that on SQLite, whose comments say what is kept and why. Here is what differs.
-- Texts are compared by their bytes, so that both engines order and find alike; "C" makes `lower` one of ASCII alone.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE organizations (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    epoch      BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE users (
    id            TEXT COLLATE "C" PRIMARY KEY,
    organization  TEXT COLLATE "C" REFERENCES organizations (id),
    email         TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    role          TEXT COLLATE "C",
    clusters      TEXT COLLATE "C",
    created_at    BIGINT NOT NULL,
    disabled_at   BIGINT,
    epoch         BIGINT NOT NULL DEFAULT 0,
    UNIQUE (id, organization),
    CHECK ((organization IS NULL) = (role IS NULL))
);

CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_organization ON users (organization, lower(email));

CREATE TABLE roles (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    name         TEXT COLLATE "C" NOT NULL,
    permissions  TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    epoch        BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, name)
);

CREATE TABLE clusters (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    deleted_at   BIGINT,
    epoch        BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (organization, id)
);

CREATE TABLE credentials (
    id               TEXT COLLATE "C" PRIMARY KEY,
    organization     TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    kind             TEXT COLLATE "C" NOT NULL CHECK (kind IN ('api-key', 'agent')),
    name             TEXT COLLATE "C" NOT NULL,
    owner            TEXT COLLATE "C",
    scopes           TEXT COLLATE "C",
    allowed_clusters TEXT COLLATE "C",
    cluster          TEXT COLLATE "C",
    hash             BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    prefix           TEXT COLLATE "C" NOT NULL,
    last_four        TEXT COLLATE "C" NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT,
    revoked_at       BIGINT,
    epoch            BIGINT NOT NULL DEFAULT 0,
    predecessor      TEXT COLLATE "C" REFERENCES credentials (id) DEFERRABLE INITIALLY DEFERRED,
    retires_at       BIGINT,
    self_rotated     BOOLEAN NOT NULL DEFAULT FALSE,
    used_at          BIGINT,
    FOREIGN KEY (owner, organization) REFERENCES users (id, organization),
    FOREIGN KEY (organization, cluster) REFERENCES clusters (organization, id),
    CHECK ((kind = 'agent') = (cluster IS NOT NULL)),
    CHECK (kind = 'api-key' OR (owner IS NULL AND scopes IS NULL AND allowed_clusters IS NULL))
);

CREATE INDEX credentials_organization ON credentials (organization, id);
CREATE INDEX credentials_owner ON credentials (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX credentials_cluster ON credentials (organization, cluster) WHERE cluster IS NOT NULL;
CREATE UNIQUE INDEX credentials_predecessor ON credentials (predecessor) WHERE predecessor IS NOT NULL;
CREATE INDEX credentials_by_name ON credentials (organization, kind, lower(name), id);
CREATE INDEX credentials_by_use ON credentials (organization, kind, used_at, id);
CREATE INDEX credentials_by_expiry ON credentials (organization, kind, expires_at, id);
CREATE INDEX credentials_of_owner_by_name ON credentials (owner, lower(name), id) WHERE owner IS NOT NULL;
CREATE INDEX credentials_of_owner_by_use ON credentials (owner, used_at, id) WHERE owner IS NOT NULL;
CREATE INDEX credentials_of_owner_by_expiry ON credentials (owner, expires_at, id) WHERE owner IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

CREATE TRIGGER credentials_are_immutable
BEFORE UPDATE OF id, organization, kind, name, owner, scopes, allowed_clusters, cluster, hash, prefix, last_four,
                 created_at, expires_at, predecessor ON credentials
FOR EACH ROW EXECUTE FUNCTION refuse_change('a credential is immutable after minting');

CREATE TRIGGER credentials_stay_revoked
BEFORE UPDATE OF revoked_at ON credentials FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL)
EXECUTE FUNCTION refuse_change('a revoked credential stays revoked');

CREATE TRIGGER credentials_only_ever_end_earlier
BEFORE UPDATE OF retires_at ON credentials FOR EACH ROW
WHEN (OLD.retires_at IS NOT NULL AND (NEW.retires_at IS NULL OR NEW.retires_at > OLD.retires_at))
EXECUTE FUNCTION refuse_change('a credential that was rotated does not live longer again');

CREATE TRIGGER credentials_are_kept
BEFORE DELETE ON credentials FOR EACH ROW
EXECUTE FUNCTION refuse_change('a credential is kept after its end');

-- `rowid` is the order in which sessions were opened; SQLite has it without being asked.
CREATE TABLE sessions (
    rowid      BIGINT GENERATED BY DEFAULT AS IDENTITY UNIQUE,
    id         TEXT COLLATE "C" PRIMARY KEY,
    "user"     TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    auth_time  BIGINT NOT NULL,
    mfa        BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    epoch      BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX sessions_user ON sessions ("user", rowid);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE idempotency (
    actor       TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    subject     TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);

CREATE INDEX idempotency_created_at ON idempotency (created_at);

CREATE TABLE invitations (
    "user"     TEXT COLLATE "C" PRIMARY KEY REFERENCES users (id),
    hash       BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    expires_at BIGINT NOT NULL
);

CREATE TABLE factors (
    "user"       TEXT COLLATE "C" PRIMARY KEY REFERENCES users (id),
    secret       BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    confirmed_at BIGINT,
    last_step    BIGINT NOT NULL DEFAULT 0,
    failures     BIGINT NOT NULL DEFAULT 0,
    locked_until BIGINT
);

CREATE TABLE recovery_codes (
    "user"  TEXT COLLATE "C" NOT NULL REFERENCES factors ("user") ON DELETE CASCADE,
    hash    BYTEA NOT NULL CHECK (length(hash) = 32),
    used_at BIGINT,
    PRIMARY KEY ("user", hash)
);

CREATE TABLE last_uses (
    credential TEXT COLLATE "C" PRIMARY KEY,
    used_at    BIGINT NOT NULL
);

CREATE TABLE policies (
    digest       TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    version      TEXT COLLATE "C" NOT NULL,
    added_at     BIGINT NOT NULL,
    activation   BIGINT NOT NULL UNIQUE,
    activated_at BIGINT NOT NULL,
    activated_by TEXT COLLATE "C" NOT NULL,
    source       TEXT COLLATE "C" NOT NULL
                 CHECK (source IN ('start', 'file', 'push', 'rollback', 'promote', 'fault')),
    configured   TEXT COLLATE "C" NOT NULL,
    bytes        BIGINT NOT NULL
);

CREATE TABLE policy_components (
    digest    TEXT COLLATE "C" PRIMARY KEY REFERENCES policies (digest) ON DELETE CASCADE,
    component BYTEA NOT NULL
);

CREATE TABLE shadow (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    digest    TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    version   TEXT COLLATE "C" NOT NULL,
    pushed_at BIGINT NOT NULL,
    pushed_by TEXT COLLATE "C" NOT NULL,
    bytes     BIGINT NOT NULL,
    component BYTEA NOT NULL
);

CREATE TABLE audit_segments (
    id        BIGINT PRIMARY KEY,
    first_seq BIGINT NOT NULL UNIQUE,
    previous  BYTEA NOT NULL CHECK (length(previous) = 32),
    opened_ms BIGINT NOT NULL,
    last_seq  BIGINT,
    hash      BYTEA CHECK (length(hash) = 32),
    closed_ms BIGINT,
    key_id    TEXT COLLATE "C",
    signature BYTEA,
    pruned_ms BIGINT,
    CHECK ((last_seq IS NULL) = (hash IS NULL) AND (last_seq IS NULL) = (closed_ms IS NULL)),
    CHECK ((key_id IS NULL) = (signature IS NULL)),
    CHECK (last_seq IS NOT NULL OR (key_id IS NULL AND pruned_ms IS NULL))
);

-- A table for each month (UTC), `audit_<year>_<month>`, made when its first record comes and dropped when all of its
-- segments are pruned.
CREATE TABLE audit (
    seq          BIGINT NOT NULL,
    segment      BIGINT NOT NULL,
    at_ms        BIGINT NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('request', 'change')),
    organization TEXT COLLATE "C",
    "user"       TEXT COLLATE "C",
    credential   TEXT COLLATE "C",
    action       TEXT COLLATE "C",
    subject      TEXT COLLATE "C",
    outcome      TEXT COLLATE "C",
    reason       TEXT COLLATE "C",
    line         TEXT COLLATE "C" NOT NULL,
    hash         BYTEA NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (seq, at_ms)
) PARTITION BY RANGE (at_ms);

CREATE INDEX audit_organization ON audit (organization, seq);
CREATE INDEX audit_credential ON audit (credential, seq) WHERE credential IS NOT NULL;
CREATE INDEX audit_user ON audit ("user", seq) WHERE "user" IS NOT NULL;
CREATE INDEX audit_subject ON audit (subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX audit_at_ms ON audit (at_ms);
CREATE INDEX audit_reason ON audit (organization, reason, seq) WHERE reason IS NOT NULL;
CREATE INDEX audit_action ON audit (organization, action, seq) WHERE action IS NOT NULL;
CREATE INDEX audit_refused ON audit (organization, seq) WHERE outcome = 'refuse';
CREATE INDEX audit_changes ON audit (organization, seq) WHERE kind = 'change';

CREATE TRIGGER audit_is_immutable BEFORE UPDATE ON audit FOR EACH ROW
EXECUTE FUNCTION refuse_change('audit records are only ever added');

CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_segments WHERE id = OLD.segment AND pruned_ms IS NOT NULL) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit records are kept until their whole segment is pruned';
END $$;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit();

CREATE TRIGGER audit_segments_start_is_immutable
BEFORE UPDATE OF id, first_seq, previous, opened_ms ON audit_segments FOR EACH ROW
EXECUTE FUNCTION refuse_change('where a segment starts never changes');

CREATE TRIGGER audit_segments_stay_closed
BEFORE UPDATE OF last_seq, hash, closed_ms, key_id, signature ON audit_segments
FOR EACH ROW WHEN (OLD.last_seq IS NOT NULL)
EXECUTE FUNCTION refuse_change('a closed segment stays as it is');

CREATE TRIGGER audit_segments_stay_pruned
BEFORE UPDATE OF pruned_ms ON audit_segments FOR EACH ROW WHEN (OLD.pruned_ms IS NOT NULL)
EXECUTE FUNCTION refuse_change('a pruned segment stays pruned');

CREATE TRIGGER audit_segments_are_kept BEFORE DELETE ON audit_segments FOR EACH ROW
EXECUTE FUNCTION refuse_change('segments are kept, also when their records are pruned');

CREATE TABLE audit_rollup (
    organization TEXT COLLATE "C" NOT NULL,
    secs         BIGINT NOT NULL CHECK (secs IN (300, 3600, 86400)),
    start        BIGINT NOT NULL,
    what         TEXT COLLATE "C" NOT NULL CHECK (what IN ('outcome', 'reason', 'limit', 'latency')),
    name         TEXT COLLATE "C" NOT NULL,
    count        BIGINT NOT NULL,
    PRIMARY KEY (organization, secs, what, start, name)
);

CREATE INDEX audit_rollup_start ON audit_rollup (start);
