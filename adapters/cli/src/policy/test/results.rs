//! What came of everything that was run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use scopegate_host::trial::{
    Coverage, Mutation, Ran, Share, Subject, TestFile, Verdict, Ways, mutate, run,
};
use scopegate_policy::yaml::Report;

use super::Test;
use crate::failure::Failure;

pub(super) struct Results<'f> {
    /// Each file that could be read, with its cases.
    pub(super) files: Vec<(&'f TestFile, Vec<Ran<'f>>)>,
    /// What is wrong with the others.
    pub(super) broken: &'f [Report],
    /// Each policy that was tested.
    pub(super) policies: Vec<PolicyResult>,
    /// How it was decided: natively, compiled or both.
    pub(super) ways: &'static str,
    pub(super) elapsed: Duration,
}

pub(super) struct PolicyResult {
    pub(super) subject: Arc<Subject>,
    /// Where it was asked for.
    pub(super) coverage: Option<Coverage>,
    /// Where it was asked for, and every case passed.
    pub(super) mutation: Option<Mutation>,
    /// Minimums that were missed, in sentences.
    pub(super) missed: Vec<String>,
}

impl<'f> Results<'f> {
    pub(super) async fn collect(
        test: &Test,
        read: &'f [TestFile],
        broken: &'f [Report],
        ways: Ways<'_>,
        start: Instant,
    ) -> Result<Self> {
        let mut files = Vec::new();
        for file in read {
            let ran = run(file, ways).await.map_err(|error| {
                Failure::new(error.to_string()).help("leave out --native, or test its document")
            })?;
            files.push((file, ran));
        }
        let mut results = Self {
            files,
            broken,
            policies: Vec::new(),
            ways: match ways {
                Ways::Native => "natively",
                Ways::Compiled(_) => "compiled",
                Ways::Both(_) => "natively and compiled",
            },
            elapsed: Duration::ZERO,
        };
        results.policies = results.judge_policies(test);
        results.elapsed = start.elapsed();
        Ok(results)
    }

    /// Every case.
    pub(super) fn ran(&self) -> impl Iterator<Item = &Ran<'f>> {
        self.files.iter().flat_map(|(_, ran)| ran)
    }

    /// Every case that did not pass.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Ran<'f>> {
        self.ran().filter(|ran| ran.verdict() != Verdict::Passed)
    }

    fn judge_policies(&self, test: &Test) -> Vec<PolicyResult> {
        let mut policies: Vec<PolicyResult> = Vec::new();
        for (file, _) in &self.files {
            let is_known = |known: &PolicyResult| Arc::ptr_eq(&known.subject, &file.subject);
            if !policies.iter().any(is_known) {
                policies.push(self.judge(test, &file.subject));
            }
        }
        policies
    }

    fn judge(&self, test: &Test, subject: &Arc<Subject>) -> PolicyResult {
        let of_it = || {
            let files = self.files.iter();
            files.filter(|(file, _)| Arc::ptr_eq(&file.subject, subject))
        };
        let coverage = test.wants_coverage().then(|| {
            let mut coverage = Coverage::new(subject, of_it().map(|(file, _)| &file.contract));
            of_it().for_each(|(file, ran)| coverage.note(file, ran));
            coverage
        });
        // A case that fails as it is would notice every change.
        let passes = self.broken.is_empty() && self.failed().next().is_none();
        let mutation = match subject.rules() {
            Some(rules) if test.wants_mutation() && passes => {
                let files: Vec<&TestFile> = of_it().map(|(file, _)| *file).collect();
                Some(mutate(rules, &files))
            }
            _ => None,
        };
        let mut missed = Vec::new();
        if let (Some(coverage), Some(percent)) = (&coverage, test.coverage_min)
            && is_below(coverage.total(), percent)
        {
            let is = percentage(coverage.total());
            missed.push(format!("coverage is {is}, below {percent} %"));
        }
        match (&mutation, test.mutation_min) {
            (Some(mutation), Some(percent)) if is_below(mutation.share, percent) => {
                let is = percentage(mutation.share);
                missed.push(format!(
                    "{is} of the changes are noticed, below {percent} %"
                ));
            }
            (None, Some(_)) if subject.rules().is_none() => {
                missed.push("it was written by hand, so there are no rules to change".to_owned());
            }
            _ => {}
        }
        PolicyResult {
            subject: Arc::clone(subject),
            coverage,
            mutation,
            missed,
        }
    }

    /// How the command ends.
    pub(super) fn conclusion(&self) -> Result<()> {
        let mut wrong = Vec::new();
        let (failed, all) = (self.failed().count(), self.ran().count());
        if failed > 0 {
            wrong.push(format!("{failed} of {} failed", cases(all)));
        }
        if !self.broken.is_empty() {
            wrong.push(format!(
                "{} cannot be read",
                counted(self.broken.len(), "test file")
            ));
        }
        for policy in &self.policies {
            let name = policy.subject.name();
            wrong.extend(policy.missed.iter().map(|what| format!("`{name}`: {what}")));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(wrong.join("; ")).into()),
        }
    }
}

fn is_below(share: Share, percent: u8) -> bool {
    share.per_mille() < usize::from(percent) * 10
}

/// Such as `83.3 %`.
pub(super) fn percentage(share: Share) -> String {
    let per_mille = share.per_mille();
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

pub(super) fn cases(count: usize) -> String {
    counted(count, "case")
}

pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
