//! What can be wrong with a chain.

use std::fmt;

use serde::Serialize;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records that were read.
    pub records: u64,
    /// Segments, pruned ones included.
    pub segments: u64,
    /// Those whose records were deleted by retention.
    pub pruned: u64,
    /// The last record's number.
    pub last_seq: i64,
    /// Up to this record, a signature vouches for everything.
    pub signed_through: Option<i64>,
    /// What is wrong, by its place.
    pub findings: Vec<Finding>,
    /// How much more was found than is listed.
    pub further: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong, and where. Records are named by their numbers (`seq`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// A record's line or hash was changed, or the record put in.
    Edited {
        /// Which.
        seq: i64,
    },
    /// A column says something else than the record's line.
    Column {
        /// Which record.
        seq: i64,
        /// Its column.
        column: &'static str,
    },
    /// Records are not there.
    Missing {
        /// The first of them.
        first: i64,
        /// The last.
        last: i64,
    },
    /// A record stands where another belongs.
    Moved {
        /// Where it stands.
        seq: i64,
        /// Where it belongs.
        belongs: i64,
    },
    /// The end is not there.
    CutOff {
        /// The last record that there is.
        last: i64,
        /// The record that a head says there was.
        head: i64,
    },
    /// The record is not the one that was signed: the chain was written anew.
    HeadDiffers {
        /// Which.
        seq: i64,
    },
    /// A segment is not there, and no record says that it was pruned.
    SegmentMissing {
        /// Which.
        segment: i64,
    },
    /// What is noted of a segment is not so.
    Segment {
        /// Which.
        segment: i64,
        /// What.
        what: &'static str,
    },
    /// A segment was pruned earlier than the record that says so allows.
    PrunedEarly {
        /// The record.
        seq: i64,
        /// The segment.
        segment: i64,
    },
    /// A segment was closed without a signature, after others were signed or records in it were.
    Unsigned {
        /// Which.
        segment: i64,
    },
    /// A segment's signature is wrong.
    SegmentSignature {
        /// Which.
        segment: i64,
    },
    /// A segment is signed with a key that was not given.
    SegmentKey {
        /// Which.
        segment: i64,
        /// The key's name.
        key_id: String,
    },
    /// The signature of an exported head is wrong.
    HeadSignature {
        /// The head's record.
        seq: i64,
    },
    /// An exported head is signed with a key that was not given.
    HeadKey {
        /// The head's record.
        seq: i64,
        /// The key's name.
        key_id: String,
    },
    /// The exported heads cannot be read.
    HeadsDamaged {
        /// How many lines are no heads.
        lines: usize,
    },
    /// There are no exported heads: the end could have been cut off.
    NoHeads,
    /// No signature vouches for anything.
    NothingSigned,
}

/// What is wrong with a signature.
pub(super) enum BadSignature {
    Wrong,
    Unknown(String),
}

impl BadSignature {
    pub(super) fn of_head(self, seq: i64) -> Finding {
        match self {
            Self::Wrong => Finding::HeadSignature { seq },
            Self::Unknown(key_id) => Finding::HeadKey { seq, key_id },
        }
    }

    pub(super) fn of_segment(self, segment: i64) -> Finding {
        match self {
            Self::Wrong => Finding::SegmentSignature { segment },
            Self::Unknown(key_id) => Finding::SegmentKey { segment, key_id },
        }
    }
}

impl Finding {
    /// To sort by: segments, then records, then what has no place.
    pub(super) fn place(&self) -> (u8, i64) {
        match self {
            Self::SegmentMissing { segment }
            | Self::Segment { segment, .. }
            | Self::PrunedEarly { segment, .. }
            | Self::Unsigned { segment }
            | Self::SegmentSignature { segment }
            | Self::SegmentKey { segment, .. } => (0, *segment),
            Self::Edited { seq }
            | Self::Column { seq, .. }
            | Self::Missing { first: seq, .. }
            | Self::Moved { seq, .. }
            | Self::HeadDiffers { seq }
            | Self::HeadSignature { seq }
            | Self::HeadKey { seq, .. } => (1, *seq),
            Self::CutOff { last, .. } => (1, *last),
            Self::HeadsDamaged { .. } | Self::NoHeads | Self::NothingSigned => (2, 0),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { seq } => write!(f, "record {seq} was edited"),
            Self::Column { seq, column } => {
                write!(
                    f,
                    "column `{column}` of record {seq} is not what its line says"
                )
            }
            Self::Missing { first, last } if first == last => {
                write!(f, "record {first} is missing")
            }
            Self::Missing { first, last } => write!(f, "records {first} to {last} are missing"),
            Self::Moved { seq, belongs } => {
                write!(
                    f,
                    "the record at {seq} belongs at {belongs}: they were reordered"
                )
            }
            Self::CutOff { last, head } => {
                write!(
                    f,
                    "the end is cut off: there was a record {head}, and the last is {last}"
                )
            }
            Self::HeadDiffers { seq } => {
                write!(
                    f,
                    "record {seq} is not the one whose head was exported: the chain was written anew"
                )
            }
            Self::SegmentMissing { segment } => {
                write!(
                    f,
                    "segment {segment} is missing, and no record says that it was pruned"
                )
            }
            Self::Segment { segment, what } => write!(f, "segment {segment}: {what}"),
            Self::Unsigned { segment } => {
                write!(
                    f,
                    "segment {segment} has no signature, though records in or before it were signed"
                )
            }
            Self::PrunedEarly { seq, segment } => {
                write!(
                    f,
                    "record {seq} pruned segment {segment} before its time was over"
                )
            }
            Self::SegmentSignature { segment } => {
                write!(f, "the signature of segment {segment} is wrong")
            }
            Self::SegmentKey { segment, key_id } => {
                write!(
                    f,
                    "segment {segment} is signed with an unknown key `{key_id}`"
                )
            }
            Self::HeadSignature { seq } => write!(
                f,
                "the signature of the exported head of record {seq} is wrong"
            ),
            Self::HeadKey { seq, key_id } => write!(
                f,
                "the exported head of record {seq} is signed with an unknown key `{key_id}`"
            ),
            Self::HeadsDamaged { lines } => {
                write!(
                    f,
                    "the exported heads cannot be read: {lines} lines are no heads"
                )
            }
            Self::NoHeads => write!(
                f,
                "there are no exported heads: the end could have been cut off"
            ),
            Self::NothingSigned => write!(f, "no signature vouches for the records"),
        }
    }
}
