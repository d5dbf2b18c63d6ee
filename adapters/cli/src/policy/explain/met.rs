//! A question that was met before: recorded in a log, or a case of a test file.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use scopegate_host::{
    replay::{Entry, Recorded},
    trial::{Case, TestFile},
};
use scopegate_policy::{Vocabulary, explain::Question};

use crate::{
    failure::Failure,
    policy::{
        file::read,
        limits::LimitsProfile,
        recorded::{Place, Policies, entry},
        subject::{Subject, runtime},
        test::Policies as TestPolicies,
    },
};

/// What cannot be said besides.
const ASKED: [&str; 13] = [
    "request",
    "headers",
    "roles",
    "permissions",
    "clusters",
    "key",
    "agent",
    "anonymous",
    "operator",
    "registered",
    "mfa",
    "address",
    "now",
];

/// Where the question stands.
#[derive(Args, Debug)]
pub(in crate::policy) struct Met {
    /// A recorded request, by its log and line: `audit.jsonl:12`; without POLICY, the policy that decided it is looked
    /// for by its digest, as `policy replay` does
    #[arg(long, value_name = "LOG:LINE", conflicts_with = "case", conflicts_with_all = ASKED)]
    record: Option<String>,
    /// A case, by its file and name: `policy.test.yaml:viewers may read`; where several have the name, with the caller behind
    /// it: `NAME (CALLER)`; without POLICY, the file's own
    #[arg(long, value_name = "FILE:NAME", conflicts_with_all = ASKED)]
    case: Option<String>,
}

impl Met {
    /// The policy and the question, if one is named; `policy` is that of the command line.
    ///
    /// # Errors
    /// When it is not there, or cannot be asked.
    pub(super) fn question(
        &self,
        policy: Option<&Path>,
        config: &Path,
    ) -> Result<Option<(Subject, Question)>> {
        match (&self.record, &self.case) {
            (Some(record), _) => recorded(record, policy, config).map(Some),
            (None, Some(case)) => of_case(case, policy).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn recorded(named: &str, policy: Option<&Path>, config: &Path) -> Result<(Subject, Question)> {
    let place = named.rsplit_once(':').and_then(|(log, line)| {
        let log = log.to_owned();
        let line = line.parse().ok().filter(|line| *line > 0)?;
        Some(Place { log, line })
    });
    let place = place.ok_or_else(|| {
        Failure::usage(format!("`{named}` is no line of a log")).help("such as `audit.jsonl:12`")
    })?;
    let text = read(Path::new(&place.log))?;
    let Some(line) = text.lines().nth(place.line - 1) else {
        let lines = text.lines().count();
        return Err(Failure::new(format!("`{}` has {lines} lines", place.log)).into());
    };
    let recorded = match entry(&place, line)? {
        Entry::Decided(recorded) => recorded,
        Entry::Unknown { why, .. } => {
            return Err(Failure::new(format!("`{place}` cannot be asked again: {why}")).into());
        }
        Entry::Undecided(reason) => {
            return Err(Failure::new(format!("no policy decided `{place}`: {reason}")).into());
        }
        Entry::LetIn(_) => {
            return Err(Failure::new(format!("no policy decided `{place}`")).into());
        }
        Entry::Change => {
            return Err(Failure::new(format!("`{place}` is a change, and no request")).into());
        }
    };
    let subject = match policy {
        Some(policy) => Subject::open(policy)?,
        None => own_policy(&recorded, config)?,
    };
    let registered = recorded.registered_otherwise();
    let question = Question {
        caller: recorded.caller,
        request: recorded.request,
        registered,
    };
    Ok((subject, question))
}

/// The policy that decided, wherever it is.
fn own_policy(recorded: &Recorded, config: &Path) -> Result<Subject> {
    let mut policies = Policies::open(&[], config, LimitsProfile::default().limits())?;
    let digest = &recorded.policy;
    runtime()?.block_on(policies.find(digest))?;
    match (
        policies.library.name(digest),
        policies.library.component(digest),
    ) {
        (Some(name), Some(component)) => Subject::of_component(name.to_owned(), component.to_vec()),
        _ => Err(Failure::new(format!("the policy {digest} is not found"))
            .help("name its file before `--record`")
            .into()),
    }
}

fn of_case(named: &str, policy: Option<&Path>) -> Result<(Subject, Question)> {
    let ending = [".yaml:", ".yml:"]
        .into_iter()
        .filter_map(|ending| Some(named.find(ending)? + ending.len()))
        .min();
    let (path, name) = ending
        .and_then(|end| named.split_at_checked(end))
        .ok_or_else(|| {
            Failure::usage(format!("`{named}` is no case of a test file"))
                .help("such as `policy.test.yaml:viewers may read`")
        })?;
    let path = Path::new(path.trim_end_matches(':'));
    let file = TestPolicies::new(None).read(path)??;
    let case = named_case(&file, name)?;
    let subject = match (policy, file.subject.text()) {
        (Some(policy), _) => Subject::open(policy)?,
        (None, Some(text)) => Subject::of_document(file.subject.name().to_owned(), text)?,
        (None, None) => Subject::open(Path::new(file.subject.name()))?,
    };
    let vocabulary = Vocabulary::new(&subject.description);
    let request = case.request.question(&vocabulary, case.now);
    let question = Question {
        caller: file.facts(case),
        request: request.map_err(Failure::new)?,
        registered: Some(file.clusters.clone()),
    };
    Ok((subject, question))
}

/// The one case of this name, or of this name and caller.
fn named_case<'f>(file: &'f TestFile, name: &str) -> Result<&'f Case> {
    let with_caller = |case: &Case| format!("{} ({})", case.name, case.caller);
    let is_meant = |case: &&Case| case.name == name || with_caller(case) == name;
    let meant: Vec<&Case> = file.cases.iter().filter(is_meant).collect();
    let mut names: Vec<String> = meant.iter().map(|case| with_caller(case)).collect();
    names.dedup();
    match (meant.first(), names.as_slice()) {
        (Some(case), [_]) => Ok(case),
        (Some(_), names) => Err(Failure::new(format!(
            "`{}` has {} cases of the name `{name}`",
            file.name,
            meant.len()
        ))
        .help(format!("say whose: {}", names.join(", ")))
        .into()),
        (None, _) => Err(Failure::new(format!("`{}` has no case `{name}`", file.name)).into()),
    }
}
