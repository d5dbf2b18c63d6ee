//! Cases that show what a policy does: callers that a gate can have, and requests to every route of one or two
//! policies and to their neighbourhood. Made from descriptions alone, so for policies in any language.
//!
//! A decision is a row of gates (route, permission, scopes, sign-in, clusters), and a change of one shows only to a
//! caller who passes the others. So the cases come in rounds, the most telling first:
//!
//! 1. *Grants*: every path of every route × every role (also none, and custom roles with exactly what is required,
//!    with all of its resource and with everything) × the required scope on the key, absent, or no scopes at all.
//! 2. *Conditions*: where the route or a role that has its permission has a condition, the situations that tell the
//!    conditions of both policies apart (addresses, moments, ages, second factors, headers around each bound) × a
//!    session, a key and an agent who may, nobody, and each such role.
//! 3. *Clusters*: callers who hold everything × what restricts them × the cluster that the request names; operators
//!    and sessions × sign-in × second factor.
//! 4. *Neighbours*: other methods, a segment more or less, another case, a trailing slash.
//! 5. *Pairs*: everything else that two of these can do together.
//!
//! What else is asked of a route with a condition is asked where the condition is true, if it can be.
//!
//! The same descriptions always give the same cases in the same order, one at a time: nothing is collected.

mod callers;
mod pairs;
mod paths;
mod situations;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::condition::{Condition, check};
use crate::description::{ClusterSource, Description, RoleInfo, RouteInfo};
use crate::facts::{Caller, Request};
pub use callers::{NOW, SOMEONE};

use callers::{Credential, Facts, Holds, Scopes};
use paths::{Named, Names, Side};
use situations::{Setting, Situation};

/// Cases that are worth asking: about 400 for each route, so those of 10,000 routes are all within it. Who takes
/// fewer gets the most telling ones of every route.
pub const CASES_MAX: usize = 5_000_000;

/// A question to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub request: Request,
}

/// Makes cases for one policy, or for two that are compared.
pub struct Generator<'d> {
    sides: Vec<Side<'d>>,
    /// Every route of either, once.
    targets: Vec<&'d RouteInfo>,
    /// Every role of either, once.
    roles: Vec<&'d str>,
    /// Those with a condition, once for each policy.
    conditional: Vec<&'d RoleInfo>,
    /// By their texts. What a component in another language calls so may be none.
    conditions: BTreeMap<&'d str, Condition>,
    names: Names,
    /// Rows of pairs by the sizes of their factors: most routes have the same.
    rows: RefCell<BTreeMap<Row, Vec<Row>>>,
    /// Situations by the conditions that they are for, where the request does not matter: most routes have the same.
    situations: RefCell<BTreeMap<Vec<&'d str>, Vec<Situation>>>,
}

/// Numbers of a credential, of what is held, of scopes, of a named cluster and of facts.
type Row = [usize; 5];

/// Which cases of a route.
#[derive(Clone, Copy)]
enum Round {
    Grants,
    Conditions,
    Clusters,
    Neighbours,
    Pairs,
}

impl<'d> Generator<'d> {
    /// For the union of these policies.
    pub fn new(policies: &[&'d Description]) -> Self {
        let mut seen = BTreeSet::new();
        let mut targets = Vec::new();
        let mut roles = Vec::new();
        for description in policies {
            for route in &description.routes {
                if seen.insert((route.method.as_str(), route.pattern.as_str())) {
                    targets.push(route);
                }
            }
            for role in &description.roles {
                if !roles.contains(&role.name.as_str()) {
                    roles.push(role.name.as_str());
                }
            }
        }
        let all_roles = policies.iter().flat_map(|policy| &policy.roles);
        let conditional: Vec<&RoleInfo> = all_roles.filter(|role| role.when.is_some()).collect();
        let of_routes = policies.iter().flat_map(|policy| &policy.routes);
        let texts = of_routes.filter_map(|route| route.when.as_deref());
        let texts = texts.chain(conditional.iter().filter_map(|role| role.when.as_deref()));
        let texts: BTreeSet<&str> = texts.collect();
        let compiled = texts.into_iter();
        let compiled = compiled.filter_map(|text| Some((text, check::compile(text).ok()?)));
        Self {
            names: Names::besides(&targets),
            sides: policies.iter().map(|policy| Side::new(policy)).collect(),
            targets,
            roles,
            conditional,
            conditions: compiled.collect(),
            rows: RefCell::default(),
            situations: RefCell::default(),
        }
    }

    /// The clusters that the organization of the cases has registered. Some cases name another.
    pub fn registered(&self) -> BTreeSet<String> {
        self.names.registered()
    }

    /// The cases.
    pub fn cases(&self) -> impl Iterator<Item = Case> {
        let rounds = [
            Round::Grants,
            Round::Conditions,
            Round::Clusters,
            Round::Neighbours,
            Round::Pairs,
        ];
        rounds.into_iter().flat_map(move |round| {
            let targets = self.targets.iter();
            targets.flat_map(move |target| self.round(round, target))
        })
    }

    fn round(&self, round: Round, target: &'d RouteInfo) -> Vec<Case> {
        let cases = match round {
            Round::Grants => self.grants(target),
            Round::Conditions => return self.situated(target),
            Round::Clusters => self.clusters(target),
            Round::Neighbours => self.neighbours(target),
            Round::Pairs => self.pairs(target),
        };
        if self.conditions.is_empty() {
            return cases;
        }
        let place = self.main_place(target);
        let Some(fitting) = self.situations(target, &place).into_iter().next() else {
            return cases;
        };
        // What a case is about stays: which cluster a header names, which path and method it has.
        let fitting: Situation = fitting
            .into_iter()
            .filter(|setting| match setting {
                Setting::Method(_) | Setting::Path(_) => false,
                Setting::Header(name, _) => !place.headers.contains(name),
                _ => true,
            })
            .collect();
        let put = |case: Case| situations::put(&fitting, &case).unwrap_or(case);
        cases.into_iter().map(put).collect()
    }

    /// Whom nothing but a condition can keep from what is asked, in every situation.
    fn situated(&self, target: &'d RouteInfo) -> Vec<Case> {
        let place = self.main_place(target);
        let request = place.request(&self.names, Named::Own);
        let mut usual: Vec<Case> = [
            Credential::SESSION,
            Credential::KEY,
            Credential::AGENT,
            Credential::OPERATOR,
            Credential::ANONYMOUS,
        ]
        .map(|credential| self.unhindered(credential, &request))
        .into();
        let asked_for = self.conditional.iter().filter(|role| place.asks_for(role));
        let mut roles: Vec<&str> = asked_for.map(|role| role.name.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        for role in roles {
            let holds = Holds::Role(role.to_owned());
            for credential in [Credential::SESSION, Credential::KEY] {
                let caller = credential.caller(&self.names, &holds, &Scopes::None, Facts::FRESH);
                let request = request.clone();
                usual.push(Case { caller, request });
            }
        }
        let mut cases = Vec::new();
        for situation in self.situations(target, &place) {
            let situated = usual.iter();
            cases.extend(situated.filter_map(|case| situations::put(&situation, case)));
        }
        cases
    }

    /// The situations that tell the conditions of a place apart.
    fn situations(&self, target: &RouteInfo, place: &Place<'d>) -> Vec<Situation> {
        let of_roles = self.conditional.iter().filter(|role| place.asks_for(role));
        let of_roles = of_roles.filter_map(|role| role.when.as_deref());
        let mut texts: Vec<&str> = of_roles.chain(place.whens.iter().copied()).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.retain(|text| self.conditions.contains_key(text));
        if texts.is_empty() {
            return Vec::new();
        }
        let conditions = texts.iter().filter_map(|text| self.conditions.get(text));
        let conditions: Vec<&Condition> = conditions.collect();
        let make = || {
            let request = place.request(&self.names, Named::Own);
            let is_of_route = |path: &str| {
                let met = self.sides.iter();
                let mut met = met.filter_map(|side| side.route_of(&request.method, path));
                met.any(|route| route.method == target.method && route.pattern == target.pattern)
            };
            situations::situations(&conditions, &request, paths::methods(target), is_of_route)
        };
        if conditions.iter().any(|condition| condition.reads_target()) {
            return make();
        }
        let mut known = self.situations.borrow_mut();
        known.entry(texts).or_insert_with(make).clone()
    }

    fn grants(&self, target: &'d RouteInfo) -> Vec<Case> {
        let mut cases = Vec::new();
        for method in paths::methods(target) {
            for tail in paths::tails(target) {
                let place = self.place(target, method, *tail);
                let request = place.request(&self.names, Named::Own);
                let mut push = |caller| {
                    cases.push(Case {
                        caller,
                        request: request.clone(),
                    });
                };
                push(Caller::anonymous());
                push(Credential::OPERATOR.caller(
                    &self.names,
                    &Holds::Nothing,
                    &Scopes::None,
                    Facts::FRESH,
                ));
                push(Credential::AGENT.caller(
                    &self.names,
                    &Holds::Nothing,
                    &Scopes::None,
                    Facts::FRESH,
                ));
                for holds in &place.holds {
                    push(Credential::SESSION.caller(
                        &self.names,
                        holds,
                        &Scopes::None,
                        Facts::FRESH,
                    ));
                    for scopes in &place.scopes {
                        push(Credential::KEY.caller(&self.names, holds, scopes, Facts::FRESH));
                    }
                }
            }
        }
        cases
    }

    fn clusters(&self, target: &'d RouteInfo) -> Vec<Case> {
        let place = self.main_place(target);
        let mut cases = Vec::new();
        for named in place.named() {
            let request = place.request(&self.names, *named);
            for credential in Credential::ALL {
                cases.push(self.unhindered(credential, &request));
            }
        }
        let request = place.request(&self.names, Named::Own);
        for facts in Facts::ALL {
            for (credential, holds) in [
                (Credential::SESSION, Holds::All),
                (Credential::SESSION, Holds::Nothing),
                (Credential::OPERATOR, Holds::Nothing),
            ] {
                cases.push(Case {
                    caller: credential.caller(&self.names, &holds, &Scopes::None, facts),
                    request: request.clone(),
                });
            }
        }
        cases
    }

    /// Whom neither permissions nor scopes nor an old sign-in keep from what is asked.
    fn unhindered(&self, credential: Credential, request: &Request) -> Case {
        Case {
            caller: credential.caller(&self.names, &Holds::All, &Scopes::None, Facts::FRESH),
            request: request.clone(),
        }
    }

    fn neighbours(&self, target: &'d RouteInfo) -> Vec<Case> {
        let place = self.main_place(target);
        let request = place.request(&self.names, Named::Own);
        let mut cases = Vec::new();
        for request in paths::neighbours(target, &request, &self.names) {
            for credential in [
                Credential::ANONYMOUS,
                Credential::SESSION,
                Credential::KEY,
                Credential::OPERATOR,
                Credential::AGENT,
            ] {
                cases.push(self.unhindered(credential, &request));
            }
        }
        cases
    }

    fn pairs(&self, target: &'d RouteInfo) -> Vec<Case> {
        let place = self.main_place(target);
        let sizes = [
            Credential::ALL.len(),
            place.holds.len(),
            place.scopes.len(),
            place.named().len(),
            Facts::ALL.len(),
        ];
        let mut cases = Vec::new();
        let mut rows = self.rows.borrow_mut();
        let rows = rows.entry(sizes).or_insert_with(|| pairs::rows(sizes));
        for [credential, holds, scopes, named, facts] in rows.iter().copied() {
            let caller = Credential::ALL.get(credential).copied().and_then(|one| {
                Some(one.caller(
                    &self.names,
                    place.holds.get(holds)?,
                    place.scopes.get(scopes)?,
                    *Facts::ALL.get(facts)?,
                ))
            });
            let named = place.named().get(named).copied();
            if let (Some(caller), Some(named)) = (caller, named) {
                let request = place.request(&self.names, named);
                cases.push(Case { caller, request });
            }
        }
        cases
    }

    /// The path of a route that gets every caller.
    fn main_place(&self, target: &'d RouteInfo) -> Place<'d> {
        let method = paths::methods(target).first().copied().unwrap_or("GET");
        let tail = paths::tails(target).first().copied().unwrap_or(0);
        self.place(target, method, tail)
    }

    fn place(&self, target: &'d RouteInfo, method: &str, tail: usize) -> Place<'d> {
        let cluster_at = |route: &RouteInfo| match route.cluster {
            ClusterSource::Path(index) => Some(index as usize),
            _ => None,
        };
        let probe = paths::concrete(target, tail, &self.names);
        let met: Vec<&'d RouteInfo> = self
            .sides
            .iter()
            .filter_map(|side| side.route_of(method, &probe))
            .chain([target])
            .collect();
        let mut clusters: Vec<usize> = met.iter().filter_map(|route| cluster_at(route)).collect();
        clusters.sort_unstable();
        clusters.dedup();
        let (mut query, mut headers, mut requires) = (Vec::new(), Vec::new(), Vec::new());
        let note = |names: &mut Vec<String>, name: &String| {
            if !names.contains(name) {
                names.push(name.clone());
            }
        };
        for route in &met {
            match &route.cluster {
                ClusterSource::Query(name) => note(&mut query, name),
                ClusterSource::Header(name) => note(&mut headers, name),
                _ => {}
            }
            if let Some(name) = &route.requires {
                note(&mut requires, name);
            }
        }
        let catalogues = self.sides.iter().flat_map(Side::scopes);
        let other = catalogues.into_iter().find(|name| !requires.contains(name));
        Place {
            pieces: paths::pieces(target, &clusters, tail, &self.names),
            method: method.to_owned(),
            holds: Holds::all(&self.roles, &requires),
            scopes: Scopes::all(&requires, other),
            whens: met
                .iter()
                .filter_map(|route| route.when.as_deref())
                .collect(),
            requires,
            query,
            headers,
        }
    }
}

/// A concrete path of a route, and what matters there under either policy.
struct Place<'d> {
    method: String,
    /// Segments; nothing where the cluster's id goes.
    pieces: Vec<Option<String>>,
    query: Vec<String>,
    headers: Vec<String>,
    holds: Vec<Holds>,
    scopes: Vec<Scopes>,
    /// The permissions and the conditions of the routes.
    requires: Vec<String>,
    whens: Vec<&'d str>,
}

impl Place<'_> {
    /// Whether a role has a permission that is required here.
    fn asks_for(&self, role: &RoleInfo) -> bool {
        self.requires
            .iter()
            .any(|name| role.permissions.contains(name))
    }

    /// The ways in which a request can name a cluster here.
    fn named(&self) -> &'static [Named] {
        match self.query.len() + self.headers.len() {
            0 if self.pieces.iter().any(Option::is_none) => &Named::IN_PATH,
            0 => &Named::NOWHERE,
            1 => &Named::IN_FIELD,
            _ => &Named::IN_FIELDS,
        }
    }

    fn request(&self, names: &Names, named: Named) -> Request {
        let in_path = names.in_path(named);
        let mut path = String::new();
        for piece in &self.pieces {
            path.push('/');
            path.push_str(piece.as_deref().unwrap_or(in_path));
        }
        if path.is_empty() {
            path.push('/');
        }
        let count = self.query.len() + self.headers.len();
        let fields = |fields: &[String], before: usize| {
            let mut all = Vec::new();
            for (index, name) in fields.iter().enumerate() {
                let values = names.in_field(named, before + index, count);
                let values = values.into_iter();
                all.extend(values.map(|value| (name.clone(), value.to_owned())));
            }
            all
        };
        Request {
            method: self.method.clone(),
            path,
            query: fields(&self.query, 0),
            headers: fields(&self.headers, self.query.len()),
            now: NOW,
            address: None,
        }
    }
}

#[cfg(test)]
mod tests;
