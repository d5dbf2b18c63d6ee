//! The chain: each record's hash covers the one before it, so that nothing in it can be changed, taken out or moved
//! without all that follows changing too. It comes in segments: about a day, or [`SEGMENT_RECORDS_MAX`] records.

use sha2::{Digest, Sha256};

use super::line::Facts;

/// Records of a segment at most.
pub(crate) const SEGMENT_RECORDS_MAX: i64 = 100_000;
/// The hash before the first record of all.
pub(crate) const GENESIS: Hash = [0; 32];

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The hash of a record: over the hash before it and its line.
pub(crate) fn link(previous: &Hash, line: &str) -> Hash {
    let hash = Sha256::new().chain_update(previous).chain_update(line);
    hash.finalize().into()
}

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The last record's number; 0 before the first.
    pub(crate) seq: i64,
    /// Its hash.
    pub(crate) hash: Hash,
    /// Its time.
    pub(crate) at_ms: i64,
    /// The number of its segment; 0 before the first.
    pub(crate) segment: i64,
    /// The first record and its time, while that segment is open.
    pub(crate) open: Option<(i64, i64)>,
}

impl End {
    /// Of a chain that has not begun.
    pub(crate) const NONE: Self = Self {
        seq: 0,
        hash: GENESIS,
        at_ms: 0,
        segment: 0,
        open: None,
    };
}

/// A segment that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) id: i64,
    pub(crate) first_seq: i64,
    pub(crate) previous: Hash,
    pub(crate) opened_ms: i64,
}

/// A segment that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) id: i64,
    pub(crate) last_seq: i64,
    pub(crate) hash: Hash,
    /// The time of the record that the next one begins with.
    pub(crate) closed_ms: i64,
}

/// A record in its place.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) segment: i64,
    pub(crate) facts: Facts,
    pub(crate) line: String,
    pub(crate) hash: Hash,
}

/// What lines become when they are added to a chain.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) opened: Vec<Opened>,
    pub(crate) rows: Vec<Row>,
    pub(crate) closed: Vec<Closed>,
    pub(crate) end: End,
}

/// Adds lines at the end of a chain.
pub(crate) fn add(mut end: End, lines: impl IntoIterator<Item = String>) -> Added {
    let (mut opened, mut rows, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let facts = Facts::of_line(&line);
        if let Some((first_seq, opened_ms)) = end.open
            && (end.seq - first_seq + 1 >= SEGMENT_RECORDS_MAX
                || is_later_day(facts.at_ms, opened_ms))
        {
            closed.push(Closed {
                id: end.segment,
                last_seq: end.seq,
                hash: end.hash,
                closed_ms: facts.at_ms,
            });
            end.open = None;
        }
        let seq = end.seq + 1;
        if end.open.is_none() {
            end.segment += 1;
            end.open = Some((seq, facts.at_ms));
            opened.push(Opened {
                id: end.segment,
                first_seq: seq,
                previous: end.hash,
                opened_ms: facts.at_ms,
            });
        }
        end.seq = seq;
        end.at_ms = facts.at_ms;
        end.hash = link(&end.hash, &line);
        rows.push(Row {
            seq,
            segment: end.segment,
            facts,
            line,
            hash: end.hash,
        });
    }
    Added {
        opened,
        rows,
        closed,
        end,
    }
}

fn is_later_day(at_ms: i64, opened_ms: i64) -> bool {
    at_ms.div_euclid(DAY_MS) > opened_ms.div_euclid(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: &str) -> String {
        format!(r#"{{"time":"{time}","kind":"anonymous"}}"#)
    }

    #[test]
    fn a_segment_ends_with_the_day_or_when_it_is_full() {
        let days = [
            "2026-03-31T23:59:59.9Z",
            "2026-04-01T00:00:00Z",
            "2026-03-31T23:59:59Z",
        ];
        let added = add(End::NONE, days.map(line));
        let segments: Vec<i64> = added.rows.iter().map(|row| row.segment).collect();
        // Who comes late does not open the day before again.
        assert_eq!(segments, [1, 2, 2]);
        assert_eq!(added.closed.len(), 1);
        assert_eq!(added.closed[0].hash, added.rows[0].hash);
        assert_eq!(added.opened[1].previous, added.rows[0].hash);

        let full = End {
            seq: SEGMENT_RECORDS_MAX,
            open: Some((1, added.rows[1].facts.at_ms)),
            segment: 1,
            hash: GENESIS,
            at_ms: 0,
        };
        let added = add(full, [line("2026-04-01T10:00:00Z")]);
        assert_eq!(added.closed[0].last_seq, SEGMENT_RECORDS_MAX);
        assert_eq!(added.rows[0].segment, 2);
    }

    #[test]
    fn the_hash_is_what_the_documentation_says() {
        // printf '%064d' 0 | xxd -r -p > z; printf '{"a":1}' >> z; sha256sum z
        let hash = link(&GENESIS, r#"{"a":1}"#);
        assert_eq!(
            hex::encode(hash),
            "b06a229070741292512e8760f470dd7a4c46ccfdf253df781d88dabe58c1ccb1"
        );
    }
}
