-- Changes that are committed, and of which whoever shares the counters is not known to have heard. A row is there before its
-- change returns and is deleted after it was told. Numbers are never used again.
CREATE TABLE untold (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    organization TEXT NOT NULL,
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL
) STRICT;
