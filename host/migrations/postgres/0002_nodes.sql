-- Changes that are committed, and of which not all gates are known to have heard. A row is there before its change returns
-- and is deleted after it was told; one that stays was left by a gate that died in between, and any other tells of it.
CREATE TABLE untold (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL
);

-- The gates that serve from this store, as they last said. Times are milliseconds by this server's clock.
CREATE TABLE nodes (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    version    TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    -- The policy that decides there, and since when.
    digest     TEXT COLLATE "C" NOT NULL,
    since      BIGINT NOT NULL,
    -- Why it is not the one that is active here.
    problem    TEXT COLLATE "C"
);

-- While gates are replaced one by one, those of the version before go on: this step only adds. From the next one on, they may
-- also start again: a step that only adds says here since which schema programs can serve with it; one that does not, deletes it.
