//! Verifying a chain against what was exported of it: everything that is wrong, with its place.
//!
//! Pure: whoever reads the store hands in its segments and then its records in order, so that a chain of any length is
//! verified in little memory.

mod finding;
mod moved;
mod prune;
mod segment;

use std::collections::BTreeMap;

use super::{
    chain::{GENESIS, Hash, Row, link},
    head::{ExportedHeads, Head},
    key::AuditPublicKey,
    line::Facts,
};
pub use finding::{Finding, Report};
use moved::Misfit;
use prune::Prune;
pub(crate) use segment::StoredSegment;

/// Findings that are kept; further ones are counted.
const FINDINGS_MAX: usize = 1000;
/// Records that do not fit, of which is looked for where they belong.
const MISFITS_MAX: usize = 256;

/// What a chain is verified against.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The keys that its heads may be signed with.
    pub keys: Vec<AuditPublicKey>,
    /// The exported heads, read before the store was.
    pub heads: Option<ExportedHeads>,
    /// Whether missing signatures and heads are acceptable; wrong ones never are.
    pub unsigned: bool,
}

pub(crate) struct Verifier {
    evidence: Evidence,
    segments: Vec<StoredSegment>,
    left: BTreeMap<i64, i64>,
    /// Which of them the next record should be in.
    current: usize,
    /// Exported heads that are still to come, by their records' numbers.
    heads: BTreeMap<i64, Vec<Head>>,
    next_seq: i64,
    before: Before,
    misfits: Vec<Misfit>,
    prune: Option<Prune>,
    /// The lowest record of which an exported head says that it was signed.
    first_head: Option<i64>,
    /// The first segment that was closed with a signature.
    first_signed: Option<i64>,
    /// What is signed for segments rightly: the numbers of their last records, and the hashes.
    vouching: BTreeMap<i64, Hash>,
    /// The segment of the last record that is in none.
    unknown_segment: Option<i64>,
    report: Report,
}

/// What the next record's hash may cover.
#[derive(Clone, Copy)]
enum Before {
    /// The hash of the record before it, as stored, and as it would be if only that hash were wrong.
    Known {
        stored: Hash,
        computed: Option<Hash>,
    },
    /// That record is missing.
    Missing,
}

impl Verifier {
    /// `left`: how many records each pruned segment still has.
    pub(crate) fn new(
        evidence: Evidence,
        segments: Vec<StoredSegment>,
        left: BTreeMap<i64, i64>,
    ) -> Self {
        let pruned = segments
            .iter()
            .take_while(|segment| segment.pruned_ms.is_some())
            .count();
        let last_pruned = pruned.checked_sub(1).and_then(|last| segments.get(last));
        let (next_seq, stored) = match last_pruned {
            Some(segment) => (
                segment.last_seq.unwrap_or(0) + 1,
                segment.hash.unwrap_or(GENESIS),
            ),
            None => (1, GENESIS),
        };
        let mut this = Self {
            evidence,
            segments,
            left,
            current: pruned,
            heads: BTreeMap::new(),
            next_seq,
            before: Before::Known {
                stored,
                computed: None,
            },
            misfits: Vec::new(),
            prune: None,
            first_head: None,
            first_signed: None,
            vouching: BTreeMap::new(),
            unknown_segment: None,
            report: Report::default(),
        };
        this.take_heads(next_seq);
        this.check_segments();
        this
    }

    /// The number of the first record to hand in: those before it are pruned.
    pub(crate) fn first_seq(&self) -> i64 {
        self.next_seq
    }

    /// The next record, in the order of their numbers.
    pub(crate) fn record(&mut self, row: &Row) {
        if row.seq > self.next_seq {
            self.find(Finding::Missing {
                first: self.next_seq,
                last: row.seq - 1,
            });
            self.before = Before::Missing;
        }
        let fits = self.fits(row);
        self.check_place(row);
        let said = Facts::of_line(&row.line);
        // An edited line is one finding, not one for each of its columns.
        if fits && let Some(column) = differing(&said, &row.facts) {
            self.find(Finding::Column {
                seq: row.seq,
                column,
            });
        }
        self.check_heads_at(row.seq, &row.hash);
        if said.action.as_deref() == Some(super::PRUNE) {
            self.take_prune(row);
        }
        self.report.records += 1;
        self.next_seq = row.seq + 1;
    }

    /// All that is wrong.
    pub(crate) fn finish(mut self) -> Report {
        let last = self.next_seq - 1;
        self.report.last_seq = last;
        let moved = moved::settle(std::mem::take(&mut self.misfits));
        moved.into_iter().for_each(|finding| self.find(finding));
        self.check_end(last);
        self.check_prunes();
        if !self.evidence.unsigned && last > 0 {
            if self.evidence.heads.is_none() {
                self.find(Finding::NoHeads);
            }
            if self.report.signed_through.is_none() {
                self.find(Finding::NothingSigned);
            }
        }
        self.report.findings.sort_by_key(Finding::place);
        self.report
    }

    fn find(&mut self, finding: Finding) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        } else {
            self.report.further += 1;
        }
    }

    /// Whether the record's hash covers the one before it and its line.
    fn fits(&mut self, row: &Row) -> bool {
        let Before::Known { stored, computed } = self.before else {
            // What it covers is gone: only the next one shows whether it was touched.
            self.before = Before::Known {
                stored: row.hash,
                computed: None,
            };
            return true;
        };
        let here = link(&stored, &row.line);
        let fits = here == row.hash
            || computed.is_some_and(|computed| link(&computed, &row.line) == row.hash);
        self.before = Before::Known {
            stored: row.hash,
            computed: (!fits).then_some(here),
        };
        if !fits {
            if self.misfits.len() < MISFITS_MAX {
                self.misfits.push(Misfit::of(row, stored));
            } else {
                self.find(Finding::Edited { seq: row.seq });
            }
        }
        fits
    }

    /// Checks the exported heads of this record.
    fn check_heads_at(&mut self, seq: i64, hash: &Hash) {
        // Usually none is left below, and one look shows it.
        while let Some(entry) = self.heads.first_entry()
            && *entry.key() <= seq
        {
            let (at, heads) = entry.remove_entry();
            // One below is of a record that is missing, which is found already.
            if at < seq {
                continue;
            }
            if heads.iter().any(|head| head.hash != *hash) {
                self.find(Finding::HeadDiffers { seq });
            } else if !self.evidence.keys.is_empty() {
                self.report.signed_through = self.report.signed_through.max(Some(seq));
            }
        }
    }

    /// Takes the exported heads whose signatures are right; those of pruned records are held to what is left of their
    /// segments.
    fn take_heads(&mut self, first_seq: i64) {
        let Some(exported) = &mut self.evidence.heads else {
            return;
        };
        let heads = std::mem::take(&mut exported.heads);
        let damaged = exported.damaged;
        // A place that is torn has another that is whole.
        if damaged > 0 && heads.is_empty() {
            self.find(Finding::HeadsDamaged { lines: damaged });
        }
        for head in heads {
            match self.check_signature(&head) {
                Some(wrong) => self.find(wrong.of_head(head.seq)),
                None => {
                    let first = self.first_head.unwrap_or(head.seq);
                    self.first_head = Some(first.min(head.seq));
                    if head.seq >= first_seq {
                        self.heads.entry(head.seq).or_default().push(head);
                    } else {
                        self.check_pruned_head(&head);
                    }
                }
            }
        }
    }

    fn check_signature(&self, head: &Head) -> Option<finding::BadSignature> {
        let keys = &self.evidence.keys;
        match keys.iter().find(|key| key.key_id == head.key_id) {
            Some(key) if key.verifies(&head.message(), &head.signature) => None,
            Some(_) => Some(finding::BadSignature::Wrong),
            // Without any key, signatures are not what is verified.
            None if keys.is_empty() && self.evidence.unsigned => None,
            None => Some(finding::BadSignature::Unknown(head.key_id.clone())),
        }
    }

    fn check_end(&mut self, last: i64) {
        if let Some((head, _)) = self.heads.last_key_value() {
            self.find(Finding::CutOff { last, head: *head });
            return;
        }
        let closed = self.segments.iter().filter_map(|segment| segment.last_seq);
        if let Some(end) = closed.max()
            && end > last
        {
            self.find(Finding::CutOff { last, head: end });
        }
    }
}

/// The first column that says something else than the line.
fn differing(said: &Facts, stored: &Facts) -> Option<&'static str> {
    let columns = [
        ("at_ms", said.at_ms == stored.at_ms),
        ("kind", said.kind == stored.kind),
        ("organization", said.organization == stored.organization),
        ("user", said.user == stored.user),
        ("credential", said.credential == stored.credential),
        ("action", said.action == stored.action),
        ("subject", said.subject == stored.subject),
        ("outcome", said.outcome == stored.outcome),
        ("reason", said.reason == stored.reason),
    ];
    let wrong = columns.into_iter().find(|(_, same)| !same);
    wrong.map(|(column, _)| column)
}
