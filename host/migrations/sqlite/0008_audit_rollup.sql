-- What happened to requests over time, in numbers: how many of what there were in a piece of time, for each organization.
-- It is written with the records that it counts, can be made from them again, and is no part of the chain.
--   outcome: `admitted`, `refused`, `limited`; refusals over a limit are the last, and not among the second
--   reason:  why requests were refused
--   limit:   the kind of caller whose limit was hit, a space, and their name
--   latency: how long the gate took: the lower bound, in microseconds, of classes of which there are four for each doubling
CREATE TABLE audit_rollup (
    organization TEXT NOT NULL,
    -- How long the piece of time is, and when it began, in seconds.
    secs         INTEGER NOT NULL CHECK (secs IN (300, 3600, 86400)),
    start        INTEGER NOT NULL,
    what         TEXT NOT NULL CHECK (what IN ('outcome', 'reason', 'limit', 'latency')),
    name         TEXT NOT NULL,
    count        INTEGER NOT NULL,
    PRIMARY KEY (organization, secs, what, start, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_rollup_start ON audit_rollup (start);

-- The records that there are already, as far back as numbers are kept.
CREATE TABLE latency_bounds (low INTEGER PRIMARY KEY) STRICT;

WITH RECURSIVE octave (low) AS (SELECT 4 UNION ALL SELECT low * 2 FROM octave WHERE low < 1 << 60)
INSERT INTO latency_bounds SELECT value FROM json_each('[0, 1, 2, 3]')
UNION ALL SELECT low + low / 4 * value FROM octave, json_each('[0, 1, 2, 3]');

CREATE TABLE counted_before (
    organization TEXT NOT NULL,
    start        INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    reason       TEXT,
    who          TEXT,
    micros       INTEGER,
    requests     INTEGER NOT NULL,
    records      INTEGER NOT NULL
) STRICT;

INSERT INTO counted_before
SELECT organization, start, outcome, reason, who, micros, sum(requests), count(*) FROM (
    SELECT organization,
           at_ms / 300000 * 300 AS start,
           CASE WHEN outcome = 'admit' THEN 'admitted'
                WHEN reason IN ('rate-limited', 'too-many-failures') THEN 'limited'
                ELSE 'refused' END AS outcome,
           reason,
           CASE WHEN reason IN ('rate-limited', 'too-many-failures')
                THEN (line ->> '$.kind') || ' ' || coalesce(line ->> '$.agent', line ->> '$.name', '') END AS who,
           (SELECT max(low) FROM latency_bounds WHERE low <= (line ->> '$.micros')) AS micros,
           coalesce(line ->> '$.count', 1) AS requests
    FROM audit INDEXED BY audit_at_ms
    WHERE at_ms >= (SELECT max(at_ms) FROM audit) - 95 * 86400000
      AND kind = 'request' AND organization IS NOT NULL AND line ->> '$.asked_by' IS NULL
) GROUP BY organization, start, outcome, reason, who, micros;

INSERT INTO audit_rollup (organization, secs, start, what, name, count)
SELECT organization, piece.value, start / piece.value * piece.value AS begun, what, name, sum(many) FROM (
    SELECT organization, start, 'outcome' AS what, outcome AS name, requests AS many FROM counted_before
    UNION ALL SELECT organization, start, 'reason', reason, requests FROM counted_before WHERE reason IS NOT NULL
    UNION ALL SELECT organization, start, 'limit', who, requests FROM counted_before WHERE who IS NOT NULL
    UNION ALL SELECT organization, start, 'latency', micros, records FROM counted_before WHERE micros IS NOT NULL
), json_each('[300, 3600, 86400]') AS piece
GROUP BY organization, piece.value, begun, what, name;

DROP TABLE counted_before;
DROP TABLE latency_bounds;

-- What is rare among an organization's records and looked for: found by an index, however many others there are.
CREATE INDEX audit_reason ON audit (organization, reason, seq) WHERE reason IS NOT NULL;
CREATE INDEX audit_action ON audit (organization, action, seq) WHERE action IS NOT NULL;
CREATE INDEX audit_refused ON audit (organization, seq) WHERE outcome = 'refuse';
CREATE INDEX audit_changes ON audit (organization, seq) WHERE kind = 'change';
