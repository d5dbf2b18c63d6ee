//! The peers: other authorization engines for Rust, set up for the questions as their own users would.
//!
//! They are handed the permission and the cluster, which the gate's policies find out from the method and the
//! path themselves. Whatever a peer can prepare once (parsed policies, entity type names, compiled matchers) is
//! prepared once; "inputs built" is what a service does that learns about its caller with the request.

use anyhow::{Result, ensure};

use crate::{
    measure::Subject,
    questions::{Question, questions},
};

mod casbin;
mod cedar;
mod regorus;

/// Cedar with request and entities built for each decision; the table compares fresh instances with it.
pub const CEDAR_BUILT: &str = "cedar-policy, request and entities built";
/// Casbin with so many policies that it shows how it grows; never the best peer.
pub const CASBIN_MANY: &str = "casbin, 500 policies";

/// Every peer, ready to answer this question.
pub fn subjects(question: &Question) -> Result<Vec<Subject>> {
    Ok(vec![
        Subject::new(
            "cedar-policy, prepared request and entities",
            cedar::prepared(question)?,
        ),
        Subject::new(CEDAR_BUILT, cedar::built(question)?),
        Subject::new("regorus engine", regorus::engine(question)?),
        Subject::new("regorus RVM", regorus::machine(question)?),
        Subject::new(
            "regorus RVM, input parsed from JSON",
            regorus::machine_with_json(question)?,
        ),
        Subject::new("casbin, 4 policies", casbin::enforcer(question, 4)?),
        Subject::new(CASBIN_MANY, casbin::enforcer(question, 500)?),
    ])
}

/// Makes sure that every subject that `make` gives answers every question rightly.
pub fn check(make: impl Fn(&Question) -> Result<Vec<Subject>>) -> Result<()> {
    for question in questions() {
        for mut subject in make(&question)? {
            let allowed = (subject.decide)();
            ensure!(
                allowed == question.allowed,
                "`{}` answers `{allowed}` to the question `{}`, which is wrong",
                subject.name,
                question.name
            );
        }
    }
    Ok(())
}
