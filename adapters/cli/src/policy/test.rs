//! `scopegate policy test`: puts the cases of test files to their policies.

mod difference;
mod find;
mod json;
mod junit;
mod policies;
mod results;
mod tap;
mod text;
mod watch;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use scopegate_host::trial::{TestFile, Ways};

pub(super) use self::policies::Policies;
use self::results::Results;
use crate::{
    failure::Failure,
    output::{Output, line},
};

const EXAMPLES: &str = "\
Examples:
  scopegate policy test
  scopegate policy test policies/ --coverage-min 90
  scopegate policy test policy.test.yaml --policy policy.wasm --compiled
  scopegate policy test --mutate --mutation-min 95
  scopegate policy test --filter viewer --watch
  scopegate policy test --format junit > report.xml

Without FILE, every *.test.yaml at or below this directory is run. Each case is decided natively
and by the compiled component, and both must agree. The exit code is 1 if a case fails or a
minimum is missed.";

/// Run test files against policies
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// Test files, or directories with *.test.yaml in them
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// The policy under test, a document or a component, whatever the files name
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Decide natively only
    #[arg(long, conflicts_with = "compiled")]
    native: bool,
    /// Decide with the compiled component only
    #[arg(long)]
    compiled: bool,
    /// Show what of each policy no case tried
    #[arg(long)]
    coverage: bool,
    /// Fail if less of a policy than this was tried
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage_min: Option<u8>,
    /// Change each rule of a policy in turn and show the changes that no case notices
    #[arg(long)]
    mutate: bool,
    /// Fail if fewer changes than this are noticed
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    mutation_min: Option<u8>,
    /// Run only cases with this in their name, caller or request
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How results are printed; json is the same as --output json
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Run again whenever a test file or a policy changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON value.
    Json,
    /// JUnit XML.
    Junit,
    /// TAP 14.
    Tap,
}

impl Test {
    fn wants_coverage(&self) -> bool {
        self.coverage || self.coverage_min.is_some()
    }

    fn wants_mutation(&self) -> bool {
        self.mutate || self.mutation_min.is_some()
    }

    fn matches(&self, case: &scopegate_host::trial::Case) -> bool {
        let Some(text) = &self.filter else {
            return true;
        };
        let request = case.request.to_string();
        [&case.name, &case.caller, &request]
            .iter()
            .any(|part| part.contains(text.as_str()))
    }
}

pub(crate) fn run(test: &Test, output: Output) -> Result<()> {
    let format = test.format.unwrap_or(match output {
        Output::Text => Format::Text,
        Output::Json => Format::Json,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("the async runtime does not start")?;
    runtime.block_on(async {
        if test.watch {
            watch::run(test, format).await
        } else {
            once(test, format).await.0
        }
    })
}

/// Runs everything once and prints it. Besides, the files that it depended on: test files and policies.
async fn once(test: &Test, format: Format) -> (Result<()>, Vec<PathBuf>) {
    let policies = Policies::new(test.policy.clone());
    let mut paths = Vec::new();
    let done = run_and_print(test, format, &policies, &mut paths).await;
    paths.extend(policies.opened());
    (done, paths)
}

async fn run_and_print(
    test: &Test,
    format: Format,
    policies: &Policies,
    paths: &mut Vec<PathBuf>,
) -> Result<()> {
    let start = std::time::Instant::now();
    paths.extend(find::test_files(&test.files)?);
    policies.open_given()?;
    let mut broken = Vec::new();
    let mut files: Vec<TestFile> = Vec::new();
    for path in paths.iter() {
        match policies.read(path)? {
            Ok(file) => files.push(file),
            Err(report) => broken.push(report),
        }
    }
    for file in &mut files {
        file.cases.retain(|case| test.matches(case));
    }
    if let Some(text) = &test.filter
        && broken.is_empty()
        && files.iter().all(|file| file.cases.is_empty())
    {
        return Err(Failure::new(format!("no case has `{text}` in it"))
            .help("--filter looks at each case's name, caller and request, as they are written")
            .into());
    }
    let ways = match (test.native, test.compiled) {
        (true, _) => Ways::Native,
        (_, true) => Ways::Compiled(policies.sandbox()?),
        _ => Ways::Both(policies.sandbox()?),
    };
    let results = Results::collect(test, &files, &broken, ways, start).await?;
    let printed = match format {
        Format::Text => text::render(&results),
        Format::Json => json::render(&results).to_string(),
        Format::Junit => junit::render(&results)?,
        Format::Tap => tap::render(&results),
    };
    line(&printed)?;
    results.conclusion()
}
