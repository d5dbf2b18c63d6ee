//! Conditions: what a route or a role asks for besides permissions, written in a subset of CEL, the Common Expression
//! Language.
//!
//! ```text
//! 'cidr("10.0.0.0/8").containsIP(request.address) || caller.mfa'
//!     `check`: parsed by the `cel` crate, typed and lowered, on the host alone
//! [Address, Within(10.0.0.0/8), Mfa, Or]
//!     `eval`: run on a question, natively and in the guest
//! true
//! ```
//!
//! The code is a row of instructions for a small stack: no jumps, so it takes as many steps as it has instructions,
//! and no allocation. Both sides of `&&` and `||` are always evaluated, which is what CEL's meaning of errors asks for:
//! `false && error` is false from either side, and what is left an error in the end does not hold.

mod asked;
#[cfg(feature = "document")]
pub(crate) mod check;
mod eval;
#[cfg(feature = "document")]
mod force;
#[cfg(feature = "document")]
mod literal;
#[cfg(feature = "document")]
mod parse;
#[cfg(feature = "document")]
pub(crate) mod probe;

use serde::{Deserialize, Serialize};

pub use asked::{ConditionOf, asked};
pub(crate) use eval::holds;
#[cfg(feature = "document")]
pub(crate) use eval::{SPAN_SECS_MAX, TIME_MAX, TIME_MIN};
#[cfg(feature = "document")]
pub use force::RoleConditions;
#[cfg(feature = "document")]
pub(crate) use literal::written_time;

/// Bytes of a condition's text at most.
pub const TEXT_BYTES_MAX: usize = 1000;
/// Instructions of a condition at most.
const OPS_MAX: usize = 512;
/// Values that are on the stack at once, at most.
const STACK_MAX: usize = 24;

/// A condition: what its author wrote, and what is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The expression, as [`crate::RouteInfo::when`] and [`crate::RoleInfo::when`] name it.
    pub text: String,
    code: Vec<Op>,
}

/// Something that a condition can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fact {
    Method,
    Path,
    Time,
    Address,
    /// In lower case.
    Header(String),
    Kind,
    Subject,
    Mfa,
    CredentialAge,
    SignedInAge,
}

/// An instruction. What it takes is on top of the stack, the last one first; lengths of time and offsets are seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    Bool(bool),
    Int(i64),
    Text(String),
    Time(i64),
    Span(i64),
    /// IPv4 as its IPv6 form (`::ffff:a.b.c.d`), like every address here.
    Address(u128),
    Fact(Fact),
    /// Whether the fact is there.
    Has(Fact),
    Not,
    And,
    Or,
    /// Of a boolean and two values, the first or the second.
    Choose,
    Equal,
    Less,
    LessOrEqual,
    Add,
    Subtract,
    Multiply,
    Negate,
    StartsWith,
    EndsWith,
    Contains,
    Size,
    /// Of a time, in a zone so far east of UTC.
    Hours(i32),
    Minutes(i32),
    DayOfWeek(i32),
    /// Whether an address is of a network.
    Within {
        network: u128,
        bits: u8,
    },
    /// Of a value, whether it was found so far, and one more to compare it with: the first two again.
    Match,
    /// Of a value and whether it was found: whether it was.
    Found,
}

impl Op {
    /// How many values it takes, and how many it leaves.
    fn effect(&self) -> (usize, usize) {
        match self {
            Self::Bool(_)
            | Self::Int(_)
            | Self::Text(_)
            | Self::Time(_)
            | Self::Span(_)
            | Self::Address(_)
            | Self::Fact(_)
            | Self::Has(_) => (0, 1),
            Self::Not
            | Self::Negate
            | Self::Size
            | Self::Hours(_)
            | Self::Minutes(_)
            | Self::DayOfWeek(_)
            | Self::Within { .. } => (1, 1),
            Self::And
            | Self::Or
            | Self::Equal
            | Self::Less
            | Self::LessOrEqual
            | Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::StartsWith
            | Self::EndsWith
            | Self::Contains
            | Self::Found => (2, 1),
            Self::Choose => (3, 1),
            Self::Match => (3, 2),
        }
    }
}

impl Condition {
    /// A condition whose code can be run.
    ///
    /// # Errors
    /// What is wrong with the code.
    #[cfg(feature = "document")]
    fn new(text: &str, code: Vec<Op>) -> Result<Self, &'static str> {
        let condition = Self {
            text: text.to_owned(),
            code,
        };
        condition.verify().map(|()| condition)
    }

    /// Whether the code can be run: it is short, the stack suffices, and one value is left.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn verify(&self) -> Result<(), &'static str> {
        if self.text.len() > TEXT_BYTES_MAX || self.code.len() > OPS_MAX {
            return Err("a condition is too long");
        }
        let mut depth = 0_usize;
        for op in &self.code {
            let (takes, leaves) = op.effect();
            let left = depth.checked_sub(takes);
            depth = left.ok_or("a condition takes what is not there")? + leaves;
            if depth > STACK_MAX {
                return Err("a condition is too deep");
            }
        }
        if depth == 1 {
            Ok(())
        } else {
            Err("a condition does not leave one value")
        }
    }

    /// The headers that it reads, in lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.code.iter().filter_map(|op| match op {
            Op::Fact(Fact::Header(name)) | Op::Has(Fact::Header(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it is true, where it asks for no fact.
    #[cfg(feature = "document")]
    pub(crate) fn constant(&self) -> Option<bool> {
        let is_fact = |op: &Op| matches!(op, Op::Fact(_) | Op::Has(_));
        if self.code.iter().any(is_fact) {
            return None;
        }
        let (caller, request) = probe::nothing();
        let parts = probe::Parts::of(&[self]);
        parts.truths(&caller, &request).first().copied()
    }

    /// Whether it is about where a client is.
    pub(crate) fn reads_address(&self) -> bool {
        let is_address = |op: &Op| matches!(op, Op::Fact(Fact::Address) | Op::Has(Fact::Address));
        self.code.iter().any(is_address)
    }

    /// Whether it asks for the method or the path.
    #[cfg(feature = "document")]
    pub(crate) fn reads_target(&self) -> bool {
        let is_target = |op: &Op| matches!(op, Op::Fact(Fact::Method | Fact::Path));
        self.code.iter().any(is_target)
    }

    pub(crate) fn code(&self) -> &[Op] {
        &self.code
    }
}

#[cfg(test)]
mod tests;
