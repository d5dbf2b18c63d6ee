//! Cases that were met elsewhere: those of test files, and recorded requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;
use scopegate_host::replay::Entry;
use scopegate_policy::{Description, Request, Vocabulary, diff::Origin, generate::Case};

use crate::{
    failure::Failure,
    policy::{
        recorded::{each_line, entry},
        test::Policies,
    },
};

/// Where they stand.
#[derive(Args, Debug)]
pub(super) struct Sources {
    /// Ask the cases of these test files as well
    #[arg(long, value_name = "FILE", num_args = 1..)]
    tests: Vec<PathBuf>,
    /// Ask what these logs of the audit recorded as well; `-` is standard input
    #[arg(long, value_name = "LOG", num_args = 1..)]
    audit: Vec<PathBuf>,
}

/// They, read.
#[derive(Default)]
pub(super) struct Met {
    /// Each with its place.
    pub(super) cases: Vec<(Case, Option<Origin>)>,
    /// Of them from test files.
    pub(super) tests: usize,
    /// Of them recorded.
    pub(super) recorded: usize,
    /// The clusters that they could be about.
    pub(super) registered: BTreeSet<String>,
    /// Records that cannot be asked, by the reason.
    pub(super) not_asked: BTreeMap<String, usize>,
}

impl Sources {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.audit.is_empty()
    }

    /// Reads them all. Both policies are told what either reads of a request.
    ///
    /// # Errors
    /// When one cannot be read, or has a mistake, with its place.
    pub(super) fn read(&self, old: &Description, new: &Description) -> Result<Met> {
        let mut met = Met::default();
        let both = [old, new].map(Vocabulary::new);
        let policies = Policies::new(None);
        for path in &self.tests {
            let file = policies.read(path)??;
            met.registered.extend(file.clusters.iter().cloned());
            for case in &file.cases {
                let told = |vocabulary| case.request.question(vocabulary, case.now);
                let [of_old, of_new] = both.each_ref().map(told);
                let unreadable = |why| Failure::new(format!("{}: {why}", case.place()));
                let request = joined(of_old.map_err(unreadable)?, of_new.map_err(unreadable)?);
                let caller = file.facts(case);
                let origin = format!("{}: {}", case.place(), case.name);
                met.cases
                    .push((Case { caller, request }, Some(origin.into())));
            }
        }
        met.tests = met.cases.len();
        each_line(&self.audit, |place, text| {
            match entry(&place, text)? {
                Entry::Decided(recorded) => {
                    met.registered.extend(recorded.named());
                    let (caller, request) = (recorded.caller, recorded.request);
                    let origin = place.to_string();
                    met.cases
                        .push((Case { caller, request }, Some(origin.into())));
                }
                Entry::Unknown { why, .. } => {
                    *met.not_asked.entry(why.to_string()).or_default() += 1;
                }
                // What no policy decided, none decides differently.
                Entry::Undecided(_) | Entry::LetIn(_) | Entry::Change => {}
            }
            Ok(())
        })?;
        met.recorded = met.cases.len() - met.tests;
        Ok(met)
    }
}

/// One request with what either of two policies is told of it.
fn joined(mut request: Request, other: Request) -> Request {
    for (all, more) in [
        (&mut request.query, other.query),
        (&mut request.headers, other.headers),
    ] {
        for field in more {
            if !all.contains(&field) {
                all.push(field);
            }
        }
    }
    request
}
