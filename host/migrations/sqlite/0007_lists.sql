-- Orders of lists of credentials. When one was last used stands in its own row from here on, so that an index has it;
-- `last_uses` keeps those of sessions.
ALTER TABLE credentials ADD COLUMN used_at INTEGER;
UPDATE credentials SET used_at = (SELECT used_at FROM last_uses WHERE credential = credentials.id);
DELETE FROM last_uses WHERE credential IN (SELECT id FROM credentials);

CREATE INDEX credentials_by_name ON credentials (organization, kind, name COLLATE NOCASE, id);
CREATE INDEX credentials_by_use ON credentials (organization, kind, used_at, id);
CREATE INDEX credentials_by_expiry ON credentials (organization, kind, expires_at, id);
CREATE INDEX credentials_of_owner_by_name ON credentials (owner, name COLLATE NOCASE, id) WHERE owner IS NOT NULL;
CREATE INDEX credentials_of_owner_by_use ON credentials (owner, used_at, id) WHERE owner IS NOT NULL;
CREATE INDEX credentials_of_owner_by_expiry ON credentials (owner, expires_at, id) WHERE owner IS NOT NULL;
