//! Names of permissions, `resource:action`, and the patterns that stand for several of them.

/// Bytes of a name at most.
pub const NAME_BYTES_MAX: usize = 128;
/// The resources of the permissions for the gate's own management API, and for asking it what others may do. No document
/// defines any of them.
pub const MANAGEMENT: [&str; 2] = ["manage", "authorization"];

/// What a role or a caller may hold: one permission, or every one that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern<'p> {
    /// `*`: every permission.
    All,
    /// `clusters:*`: every action on a resource.
    Resource(&'p str),
    /// `*:read`: one action on every resource.
    Action(&'p str),
    /// `clusters:read`.
    Exact(&'p str),
}

impl<'p> Pattern<'p> {
    /// Reads a pattern; nothing when it is none.
    pub fn parse(text: &'p str) -> Option<Self> {
        if text == "*" || text == "*:*" {
            return Some(Self::All);
        }
        if is_name(text) {
            return Some(Self::Exact(text));
        }
        match text.split_once(':')? {
            (resource, "*") if is_word(resource) => Some(Self::Resource(resource)),
            ("*", action) if is_word(action) => Some(Self::Action(action)),
            _ => None,
        }
    }

    /// Whether it stands for this permission.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Resource(resource) => name.split_once(':').is_some_and(|(r, _)| r == *resource),
            Self::Action(action) => name.split_once(':').is_some_and(|(_, a)| a == *action),
            Self::Exact(exact) => name == *exact,
        }
    }
}

/// Whether this is the name of a permission: two words of `[a-z0-9_-]`, joined by `:`.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text
            .split_once(':')
            .is_some_and(|(resource, action)| is_word(resource) && is_word(action))
}

/// Whether this is the name of a permission for the gate's own management API.
pub fn is_management(name: &str) -> bool {
    let mut resources = MANAGEMENT.into_iter();
    resources.any(|resource| Pattern::Resource(resource).matches(name))
}

/// Whether this is a word of `[a-z0-9_-]`: half of a permission's name, or the name of a role or a policy.
pub fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{Pattern, is_name};

    #[test]
    fn names_are_two_words() {
        for name in ["clusters:read", "cost_explorer:read", "a:b-c", "0:1"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "", ":", "a:", ":b", "a", "a:b:c", "A:b", "a b:c", "a:*", "*", "ä:b", "a:b\n",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn patterns_match_whole_words() {
        let held = |pattern: &str, name: &str| Pattern::parse(pattern).unwrap().matches(name);
        assert!(held("*", "clusters:read"));
        assert!(held("*:*", "clusters:read"));
        assert!(held("clusters:*", "clusters:read") && !held("clusters:*", "clusters2:read"));
        assert!(held("*:read", "clusters:read") && !held("*:read", "clusters:reader"));
        assert!(held("clusters:read", "clusters:read") && !held("clusters:read", "clusters:write"));
        for none in [
            "",
            "**",
            "clusters*",
            "*:",
            ":*",
            "clu*:read",
            "a:b:*",
            "* ",
        ] {
            assert_eq!(Pattern::parse(none), None, "{none}");
        }
    }
}
