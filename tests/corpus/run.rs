//! The implementations of the gate that the corpus is put to.

use scopegate_host::engine::{Isolation, Limits, Sandbox, SandboxConfig, Worlds};
use scopegate_host::trial::{Answer, Case, Outcome, TestFile, Ways, run};

/// The kinds of implementation that the corpus is put to. Each gives the same outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The policy crate, called directly.
    Native,
    /// The compiled document, a fresh instance for every case, the question packed.
    Fresh,
    /// The compiled document, its instances kept.
    Pooled,
    /// The compiled document through the typed world that hand-written policies speak.
    Typed,
}

/// An implementation, ready for any file; what its files share is set up once.
pub enum Implementation {
    Native,
    Component(Box<Sandbox>),
}

impl Implementation {
    /// Of a kind.
    pub fn new(kind: Kind) -> Self {
        let (isolation, worlds) = match kind {
            Kind::Native => return Self::Native,
            Kind::Fresh => (Isolation::Fresh, Worlds::All),
            Kind::Pooled => (Isolation::Pooled { calls_max: 100 }, Worlds::All),
            Kind::Typed => (Isolation::Fresh, Worlds::PolicyOnly),
        };
        let config = SandboxConfig {
            limits: Limits::default(),
            isolation,
            worlds,
            ..SandboxConfig::default()
        };
        Self::Component(Box::new(Sandbox::new(config).expect("a sandbox")))
    }

    /// What comes of each case of a file.
    pub async fn answers<'f>(&self, file: &'f TestFile) -> Vec<(&'f Case, Answer)> {
        let ways = match self {
            Self::Native => Ways::Native,
            Self::Component(sandbox) => Ways::Compiled(sandbox),
        };
        let all = run(file, ways).await.expect("a policy that runs");
        let mut answers = Vec::new();
        for ran in all {
            let case = ran.case;
            let answer = ran.native.or(ran.compiled).expect("asked one way");
            let answer = answer.unwrap_or_else(|why| panic!("{case}: {why}"));
            if let Outcome::Allow(visible) = &answer.outcome {
                assert!(
                    visible.is_disjoint(&file.retired),
                    "{case}: a removed cluster is visible"
                );
            }
            answers.push((case, answer));
        }
        answers
    }
}
