//! Looking at a candidate from every side, before any request meets it.

use std::{fmt, sync::Arc};

use crate::{
    bundle::{BadSignature, Trust},
    engine::{BadPolicy, Policy, Sandbox},
    trial::check_carried,
};

/// What candidates are looked at with.
pub struct Checks {
    /// Where policies run.
    pub sandbox: Arc<Sandbox>,
    /// Whose signatures are good; of nobody, none is asked for.
    pub trust: Trust,
}

/// Why a candidate does not become the active policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCandidate {
    /// Nobody who is trusted has signed it as it is.
    #[error("the policy is not trusted: {0}")]
    Signature(#[from] BadSignature),
    /// The sandbox does not take it.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// It fails when it is asked.
    #[error("the policy fails when it is asked: {0}")]
    Fault(String),
    /// Its own tests fail.
    #[error("the tests that the policy carries fail: {0}")]
    Tests(String),
    /// This program failed over it.
    #[error("the policy could not be looked at to the end")]
    Crashed,
}

impl Checks {
    /// Looks at a candidate. Takes milliseconds to seconds of this thread.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, component: &[u8]) -> Result<Arc<Policy>, BadCandidate> {
        // A hash of each signature over something without a bound would take its time.
        self.sandbox.check_size(component)?;
        // First, so that what nobody answers for is not even compiled.
        if self.trust.is_asked_for() {
            self.trust.verify(component)?;
        }
        self.check_unsigned(component)
    }

    /// The same of a policy that comes from this program itself, so that nobody signs it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check_unsigned(&self, component: &[u8]) -> Result<Arc<Policy>, BadCandidate> {
        let policy = Arc::new(self.sandbox.load(component)?);
        policy.probe().map_err(BadCandidate::Fault)?;
        check_carried(component, &policy).map_err(BadCandidate::Tests)?;
        Ok(policy)
    }
}

impl BadCandidate {
    /// Whether it is refused for what it is: the same bytes will be refused again.
    pub fn is_for_good(&self) -> bool {
        // Whatever crashed over these bytes would crash over them again.
        !matches!(self, Self::Policy(BadPolicy::Compiler(_)))
    }

    /// What whoever made it can do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Signature(BadSignature::NotWhole) => {
                "give the whole `.wasm` that `scopegate policy build` wrote and `scopegate policy sign` signed"
            }
            Self::Signature(BadSignature::None) => {
                "build it if it is a document, sign the `.wasm` with `scopegate policy sign`, by a key whose public half \
                 `policy_keys` names, and push or name that file"
            }
            Self::Signature(BadSignature::Unknown(_)) => {
                "sign it with `scopegate policy sign`, by a key whose public half `policy_keys` names"
            }
            Self::Signature(BadSignature::Wrong(_)) => {
                "get it again from whoever signed it, and find out who changed it"
            }
            Self::Policy(BadPolicy::TooLarge { .. }) => {
                "build it for release and strip it: what `scopegate policy build` makes is far smaller"
            }
            Self::Policy(BadPolicy::Invalid(_)) => {
                "push the whole file that `scopegate policy build` wrote, or a component of the world `policy` in `wit/`"
            }
            Self::Policy(BadPolicy::Costly(_)) => {
                "make it smaller and simpler; one that brings a language's engine needs `policy_limits: large`"
            }
            Self::Policy(BadPolicy::Compiler(_)) => {
                "the policy may be good: see that the gate can start processes and has memory, and try again"
            }
            Self::Policy(BadPolicy::Imports(_)) => {
                "build it without a standard library that reaches for the system, such as for `wasm32-unknown-unknown`"
            }
            Self::Policy(BadPolicy::WrongWorld(_)) => {
                "build it against the world `policy` in `wit/policy.wit`, of this version"
            }
            Self::Policy(BadPolicy::Fault(_)) => {
                "`describe` must end soon, within the memory that a policy has; try it with `scopegate policy inspect`"
            }
            Self::Policy(BadPolicy::Description(_)) => "correct what `describe` gives",
            Self::Fault(_) => {
                "correct `decide`: it must answer every question, soon and within its memory"
            }
            Self::Tests(_) => "correct the policy or its tests, and build it again",
            Self::Crashed => "the gate's log says more",
        }
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checks")
    }
}
