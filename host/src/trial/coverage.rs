//! What cases leave untried of a policy, from the rules that its decisions name: so it works for components in any
//! language. The management API's part, which is in every policy, does not count.

use std::collections::BTreeSet;

use scopegate_policy::{
    Caller, ClusterSource, ConditionOf, Description, Grant, RouteInfo, RouteOptions,
    asked_conditions, routing::pattern,
};

use super::case::Outcome;
use super::file::TestFile;
use super::run::{Answer, Ran};
use super::subject::Subject;
use crate::contract::{Authority, Contract};

/// What can be tried of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A route, once for letting somebody through and, unless it is open to everyone, once for refusing somebody.
    Routes,
    /// A role that gives a permission.
    Roles,
    /// A permission that somebody holds where a route requires it.
    Permissions,
    /// A reason that the policy can refuse for.
    Reasons,
    /// A condition of a route or role, once for being true and once for not being true.
    Conditions,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Routes,
        Self::Roles,
        Self::Permissions,
        Self::Reasons,
        Self::Conditions,
    ];

    /// In a word, such as `routes`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Roles => "roles",
            Self::Permissions => "permissions",
            Self::Reasons => "reasons",
            Self::Conditions => "conditions",
        }
    }
}

/// One thing that can be tried. Routes and roles are indexes into the description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    Allowed(usize),
    Refused(usize),
    Role(usize),
    Permission(String),
    Reason(&'static str),
    /// Whether it was true.
    Condition(ConditionOf, bool),
}

impl Point {
    fn kind(&self) -> Kind {
        match self {
            Self::Allowed(_) | Self::Refused(_) => Kind::Routes,
            Self::Role(_) => Kind::Roles,
            Self::Permission(_) => Kind::Permissions,
            Self::Reason(_) => Kind::Reasons,
            Self::Condition(..) => Kind::Conditions,
        }
    }
}

/// How much of something was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What was tried.
    pub covered: usize,
    /// What there is.
    pub total: usize,
}

impl Share {
    /// In tenths of a percent, rounded down. Of nothing, everything was tried.
    pub fn per_mille(self) -> usize {
        match self.total {
            0 => 1000,
            total => self.covered * 1000 / total,
        }
    }
}

/// What was tried of one policy.
#[derive(Clone, Debug)]
pub struct Coverage {
    points: BTreeSet<Point>,
    tried: BTreeSet<Point>,
}

impl Coverage {
    /// Nothing was tried yet. The contracts of its test files say which callers there can be.
    pub fn new<'c>(subject: &Subject, contracts: impl IntoIterator<Item = &'c Contract>) -> Self {
        let contracts: Vec<&Contract> = contracts.into_iter().collect();
        Self {
            points: points(subject, &contracts),
            tried: BTreeSet::new(),
        }
    }

    /// Notes what came of the cases of a file that is about this policy.
    pub fn note(&mut self, file: &TestFile, ran: &[Ran<'_>]) {
        let description = file.subject.description();
        for ran in ran {
            if let Some(answer) = ran.answer() {
                self.note_answer(description, answer);
                self.note_conditions(description, &file.facts(ran.case), answer);
            }
        }
    }

    fn note_answer(&mut self, description: &Description, answer: &Answer) {
        let is_refused = match &answer.outcome {
            Outcome::Allow(_) => false,
            Outcome::Deny { reason, .. } => {
                let known = super::REASONS.iter().find(|(known, _)| known == reason);
                self.tried
                    .extend(known.map(|(known, _)| Point::Reason(known)));
                true
            }
        };
        let Some(index) = answer.rule.route.map(|index| index as usize) else {
            return;
        };
        let Some(route) = description.routes.get(index) else {
            return;
        };
        self.tried.insert(match is_refused {
            true => Point::Refused(index),
            false => Point::Allowed(index),
        });
        let permission = route.requires.iter().cloned().map(Point::Permission);
        match answer.rule.grant {
            Grant::Role(role) => {
                self.tried.insert(Point::Role(role as usize));
                self.tried.extend(permission);
            }
            Grant::Permission => self.tried.extend(permission),
            Grant::None | Grant::Public => {}
        }
    }

    /// Which conditions were asked follows from the rule and the reason: also of components in another language, as long
    /// as they ask in the order in which a document's are.
    fn note_conditions(&mut self, description: &Description, caller: &Caller, answer: &Answer) {
        let refused = match &answer.outcome {
            Outcome::Allow(_) => None,
            Outcome::Deny { reason, .. } => Some(reason.as_str()),
        };
        let asked = asked_conditions(description, caller, &answer.rule, refused);
        let asked = asked.into_iter();
        self.tried
            .extend(asked.map(|(of, is_true)| Point::Condition(of, is_true)));
    }

    /// How much of one kind was tried.
    pub fn share(&self, kind: Kind) -> Share {
        let of_kind = || self.points.iter().filter(|point| point.kind() == kind);
        Share {
            covered: of_kind().filter(|point| self.tried.contains(point)).count(),
            total: of_kind().count(),
        }
    }

    /// How much of everything was tried.
    pub fn total(&self) -> Share {
        Share {
            covered: self.points.intersection(&self.tried).count(),
            total: self.points.len(),
        }
    }

    /// What was not tried, in sentences, kind by kind.
    pub fn missing(&self, description: &Description) -> Vec<(Kind, String)> {
        let untried = self.points.difference(&self.tried);
        untried
            .map(|point| (point.kind(), sentence(point, description)))
            .collect()
    }
}

fn sentence(point: &Point, description: &Description) -> String {
    let route = |index: usize| match description.routes.get(index) {
        Some(route) => format!("{} {}", route.method, route.pattern),
        None => String::new(),
    };
    let role = |index: usize| {
        let role = description.roles.get(index);
        role.map_or("", |role| role.name.as_str())
    };
    match point {
        Point::Allowed(index) => format!("`{}` is never allowed", route(*index)),
        Point::Refused(index) => format!("`{}` is never refused", route(*index)),
        Point::Role(index) => format!("the role `{}` never gives a permission", role(*index)),
        Point::Permission(name) => format!("nobody holds `{name}` where it is required"),
        Point::Reason(reason) => format!("nothing is refused with `{reason}`"),
        Point::Condition(of, is_true) => {
            let of = match *of {
                ConditionOf::Route(index) => format!("`{}`", route(index as usize)),
                ConditionOf::Role(index) => format!("the role `{}`", role(index as usize)),
            };
            format!("the condition of {of} is never {is_true}")
        }
    }
}

fn points(subject: &Subject, contracts: &[&Contract]) -> BTreeSet<Point> {
    let description = subject.description();
    let own = || {
        let routes = description.routes.iter().enumerate();
        routes.filter(|(_, route)| !route.is_management())
    };
    let mut points = BTreeSet::new();
    for (index, route) in own() {
        points.insert(Point::Allowed(index));
        if !route.public || route.when.is_some() {
            points.insert(Point::Refused(index));
        }
        if route.when.is_some() {
            points.extend(both(ConditionOf::Route(index as u32)));
        }
        points.extend(route.requires.clone().map(Point::Permission));
    }
    for (index, role) in description.roles.iter().enumerate() {
        let gives = |route: &RouteInfo| {
            let required = route.requires.as_ref();
            required.is_some_and(|name| role.permissions.contains(name))
        };
        let can_be_held = || contracts.iter().any(|c| can_be_held(&role.name, c));
        if can_be_held() && own().any(|(_, route)| gives(route)) {
            points.insert(Point::Role(index));
            if role.when.is_some() {
                points.extend(both(ConditionOf::Role(index as u32)));
            }
        }
    }
    points.extend(reasons(subject).into_iter().map(Point::Reason));
    points
}

/// True and not true.
fn both(of: ConditionOf) -> [Point; 2] {
    [true, false].map(|is_true| Point::Condition(of, is_true))
}

/// Whether a caller can have this role: an agent has `agent`, users the others, and users call with sessions or with
/// keys that follow them.
pub(super) fn can_be_held(role: &str, contract: &Contract) -> bool {
    role == "agent" || contract.sessions_on_api || contract.authority == Authority::Owner
}

/// The reasons that a policy's own routes can lead to. Of a component that was written by hand only those that follow
/// from its description.
fn reasons(subject: &Subject) -> Vec<&'static str> {
    let description = subject.description();
    let own: Vec<(&RouteInfo, RouteOptions)> = match subject.rules() {
        Some(rules) => {
            let options = rules.options.iter().copied();
            description.routes.iter().zip(options).collect()
        }
        None => description
            .routes
            .iter()
            .map(|route| (route, RouteOptions::default()))
            .collect(),
    };
    let own: Vec<_> = own
        .into_iter()
        .filter(|(route, _)| !route.is_management())
        .collect();
    let any =
        |is: &dyn Fn(&RouteInfo) -> bool| own.iter().any(|(route, _)| !route.public && is(route));
    let names_cluster = |route: &RouteInfo| {
        matches!(
            route.cluster,
            ClusterSource::Path(_) | ClusterSource::Query(_) | ClusterSource::Header(_)
        )
    };
    let in_field = |route: &RouteInfo| {
        matches!(
            route.cluster,
            ClusterSource::Query(_) | ClusterSource::Header(_)
        )
    };
    let agent = description.roles.iter().find(|role| role.name == "agent");
    let agents_may = |route: &RouteInfo| match (&route.requires, agent) {
        (Some(name), Some(agent)) => agent.permissions.contains(name),
        _ => false,
    };
    let keys_read_only = subject.rules().is_some_and(|rules| rules.keys_read_only);
    let catches_all = own
        .iter()
        .any(|(route, _)| route.method == "*" && route.pattern == "/**");
    let possible = [
        ("not-authenticated", !catches_all || any(&|_| true)),
        ("no-route", !catches_all),
        (
            "ambiguous-path",
            own.iter().any(|(route, _)| has_letter(route)),
        ),
        ("missing-permission", any(&|route| route.requires.is_some())),
        ("cluster-not-allowed", any(&names_cluster)),
        ("cluster-required", any(&in_field)),
        (
            "clusters-restricted",
            any(&|route| route.cluster == ClusterSource::Spans),
        ),
        (
            "read-only-key",
            keys_read_only && any(&|route| route.method != "GET"),
        ),
        (
            "agent-outside-cluster",
            any(&|route| names_cluster(route) && agents_may(route)),
        ),
        (
            "operator-required",
            own.iter().any(|(_, options)| options.operator),
        ),
        (
            "sign-in-required",
            own.iter().any(|(_, options)| options.sign_in),
        ),
        (
            "condition-not-met",
            own.iter().any(|(route, _)| route.when.is_some()),
        ),
    ];
    let possible = possible.into_iter().filter(|(_, can)| *can);
    possible.map(|(reason, _)| reason).collect()
}

/// Whether a literal of the route could be written in another case.
fn has_letter(route: &RouteInfo) -> bool {
    let segments = pattern::parse(&route.pattern).unwrap_or_default();
    segments.iter().any(|segment| match segment {
        pattern::Segment::Literal(text) => text.bytes().any(|byte| byte.is_ascii_alphabetic()),
        pattern::Segment::Parameter(_) | pattern::Segment::Tail => false,
    })
}
