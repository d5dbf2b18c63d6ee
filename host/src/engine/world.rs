//! The worlds of `wit/` on the host's side, one module for each version: bindings, and the way between their types and the
//! policy's. What has not changed between versions stands once, in `convert`.

#[macro_use]
mod convert;
pub(super) mod v1_0;
pub(super) mod v1_1;

/// A version of the worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Before there were conditions.
    V1_0,
    /// The newest one.
    V1_1,
}

impl Version {
    /// Every version, the newest first.
    pub(super) const ALL: [Self; 2] = [Self::V1_1, Self::V1_0];

    /// The interface for policies in any language.
    pub(super) fn rules(self) -> &'static str {
        match self {
            Self::V1_0 => "scopegate:policy/rules@1.0.0",
            Self::V1_1 => RULES,
        }
    }

    /// The interface of the engine. Questions are packed in another way in each version, and the host knows the newest
    /// one: an older engine is asked as a policy in any language is.
    pub(super) fn packed(self) -> Option<&'static str> {
        match self {
            Self::V1_0 => None,
            Self::V1_1 => Some(PACKED),
        }
    }
}

/// The exported interfaces of the newest version, and their functions.
pub(super) const RULES: &str = "scopegate:policy/rules@1.1.0";
pub(super) const PACKED: &str = "scopegate:policy/packed@1.1.0";
pub(super) const DESCRIBE: &str = "describe";
pub(super) const DECIDE: &str = "decide";
pub(super) const CONFIGURE: &str = "configure";
pub(super) const DECIDE_PACKED: &str = "decide-packed";

/// The functions of `packed` as the component model types them.
pub(super) type ConfigureParams<'a> = (&'a [u8],);
pub(super) type ConfigureResults = (Result<(), String>,);
pub(super) type PackedParams<'a> = (&'a [u8],);
pub(super) type PackedResults = (u64,);
