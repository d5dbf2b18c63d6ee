//! A question that was met before: recorded in a log, or a case of a test file.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use clap::Args;
use scopegate_host::{
    replay::{Entry, Recorded},
    trial::{Case, TestFile},
};
use scopegate_policy::{Vocabulary, explain::Question, yaml::did_you_mean};

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
    /// A case, by its file and name or line: `policy.test.yaml:viewers may read`, `policy.test.yaml:12`; where several have
    /// that, with the caller behind it: `NAME (CALLER)`, `LINE (CALLER)`; without POLICY, the file's own
    #[arg(long, value_name = "FILE:NAME|LINE", conflicts_with_all = ASKED)]
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
                .help("such as `policy.test.yaml:viewers may read`, or `policy.test.yaml:12`")
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

/// The one case that is meant: by its name, or by its line as every failure prints it, and where several have that, with
/// the caller and what is asked behind it.
fn named_case<'f>(file: &'f TestFile, named: &str) -> Result<&'f Case> {
    let meant: Vec<&Case> = file
        .cases
        .iter()
        .filter(|case| ways_to_name(case).iter().any(|way| way == named))
        .collect();
    let Some(case) = meant.first() else {
        let names = file.cases.iter().map(|case| case.name.as_str());
        let failure = Failure::new(format!("`{}` has no case `{named}`", file.name));
        return Err(match did_you_mean(named, names) {
            Some(name) => failure.help(format!("did you mean `{name}`?")),
            None => failure.help("name one by its line, such as `policy.test.yaml:12`"),
        }
        .into());
    };
    let is_same = |other: &&Case| {
        (&other.caller, &other.request, other.now) == (&case.caller, &case.request, case.now)
    };
    if meant.iter().all(is_same) {
        return Ok(case);
    }
    Err(Failure::new(format!(
        "`{}` has {} cases `{named}`",
        file.name,
        meant.len()
    ))
    .help(format!("say which: {}", choices(file, &meant).join(", ")))
    .into())
}

/// From the shortest to the one that leaves no doubt.
fn ways_to_name(case: &Case) -> [String; 7] {
    let Case {
        name,
        line,
        caller,
        request,
        ..
    } = case;
    [
        name.clone(),
        line.to_string(),
        format!("{line} {name}"),
        format!("{name} ({caller})"),
        format!("{line} ({caller})"),
        format!("{line} {name} ({caller})"),
        format!("{line} ({caller}) {request}"),
    ]
}

/// How each of these cases is told from the file's others, in as few words as do for all.
fn choices(file: &TestFile, cases: &[&Case]) -> Vec<String> {
    /// What could be meant is shown, not the whole file.
    const SHOWN_MAX: usize = 12;
    let named_by = |case: &Case, way: usize| ways_to_name(case).into_iter().nth(way);
    // By the caller alone, by the line and caller, or by everything.
    let tells_apart = |way: &usize| {
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        for text in file.cases.iter().filter_map(|case| named_by(case, *way)) {
            *others.entry(text).or_default() += 1;
        }
        let mut meant = cases.iter().filter_map(|case| named_by(case, *way));
        meant.all(|text| others.get(&text) == Some(&1))
    };
    let way = [3, 4].into_iter().find(tells_apart).unwrap_or(6);
    let texts = cases.iter().filter_map(|case| named_by(case, way));
    let mut shown: Vec<String> = texts.map(|text| format!("`{text}`")).collect();
    let more = shown.len().saturating_sub(SHOWN_MAX);
    shown.truncate(SHOWN_MAX);
    shown.extend((more > 0).then(|| format!("and {more} more")));
    shown
}
