//! The menu: what a visitor may look at, where the product's texts say that it is.

use scopegate_host::contract::Section;

use super::visitor::Visitor;

/// A part of the menu.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) href: &'static str,
    pub(super) here: bool,
    pub(super) items: Vec<Item>,
}

/// A page in it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) href: &'static str,
    /// What it is for, where there is room to say so.
    pub(super) about: &'static str,
    pub(super) here: bool,
}

/// Whom a page is for.
#[derive(Clone, Copy)]
enum For {
    Everybody,
    /// Members of an organization.
    Members,
    /// Those of them who hold a permission.
    Holders(&'static str),
    /// Operators of the gate.
    Operators,
    /// Members, where one's own keys are called and stand by the contract.
    Keys(Section),
}

/// A page: its name, where it is, what it is for and whom.
type Entry = (&'static str, &'static str, &'static str, For);

const SETTINGS: [Entry; 8] = [
    (
        "Organization",
        "/-/settings/organization",
        "Its name and id.",
        For::Members,
    ),
    ("", KEYS, KEYS_ABOUT, For::Keys(Section::Settings)),
    (
        "Clusters",
        "/-/clusters",
        "Clusters and the agents in them.",
        For::Members,
    ),
    (
        "Users",
        "/-/users",
        "Who is in, with which role and clusters.",
        For::Holders("manage:users"),
    ),
    ("Roles", "/-/roles", "What each role may do.", For::Members),
    (
        "Organizations",
        "/-/organizations",
        "All that this gate serves.",
        For::Operators,
    ),
    (
        "Policy",
        "/-/policy",
        "The rules that decide, and who may do what.",
        For::Everybody,
    ),
    (
        "Audit",
        "/-/audit",
        "Who asked for what, and what came of it.",
        For::Holders("manage:audit"),
    ),
];
const PROFILE: [Entry; 2] = [
    ("", KEYS, KEYS_ABOUT, For::Keys(Section::Profile)),
    (
        "Security",
        "/-/profile/security",
        "Password, second factor, where you are signed in.",
        For::Everybody,
    ),
];

/// Where one's own keys are, whatever they are called.
const KEYS: &str = "/-/keys";
const KEYS_ABOUT: &str = "Keys for programs: make, rotate, revoke.";

impl Visitor {
    /// The menu: what they may look at.
    pub(super) fn menu(&self) -> Vec<Group> {
        let group = |name, href, entries: &[Entry]| Group {
            name,
            href,
            here: self.path == href,
            items: entries
                .iter()
                .filter_map(|entry| self.item(entry))
                .collect(),
        };
        vec![
            group("Overview", super::ROOT, &[]),
            group(Section::Settings.name(), "/-/settings", &SETTINGS),
            group(Section::Profile.name(), "/-/profile", &PROFILE),
        ]
    }

    /// A page in the menu, if it is for them.
    fn item(&self, (name, href, about, whom): &Entry) -> Option<Item> {
        let words = &self.site.gate.contract().dashboard;
        let is_member = !self.me.operator;
        let is_for_them = match whom {
            For::Everybody => true,
            For::Members => is_member,
            For::Holders(permission) => is_member && self.may(permission),
            For::Operators => self.me.operator,
            For::Keys(section) => is_member && words.section == *section,
        };
        is_for_them.then(|| Item {
            name: match whom {
                For::Keys(_) => words.keys.clone(),
                _ => (*name).to_owned(),
            },
            href,
            about,
            here: self.path == *href || self.path.starts_with(&format!("{href}/")),
        })
    }
}
