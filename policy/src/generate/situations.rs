//! When and from where a request comes, and how old and how well proven a credential is: what conditions ask for.

use core::net::{IpAddr, Ipv6Addr};

use crate::condition::Condition;
use crate::condition::probe::{Parts, Values};
use crate::facts::{Caller, CallerKind, Request};

use super::pairs;
use super::{Case, NOW, SOMEONE};

/// Situations that are tried to find those which tell conditions apart, at most.
const TRIED_MAX: usize = 4096;
/// Situations for one route, at most.
const KEPT_MAX: usize = 96;
/// Situations that are kept where the same conditions are true.
const ALIKE_MAX: usize = 8;
/// What varies at most; a twelfth header that a condition reads stays as it is.
const FACTORS_MAX: usize = 12;
/// No session is older.
const SESSION_SECS_MAX: i64 = 7 * 24 * 3600;

/// One thing about a request that a condition can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Method(&'static str),
    Path(String),
    From(IpAddr),
    At(i64),
    /// Of the credential; a session is as old as its sign-in.
    AgeSecs(i64),
    Mfa,
    Subject(String),
    /// In place of whatever is there.
    Header(String, String),
}

impl Setting {
    /// A case in which this is so. Nothing where its caller cannot have it.
    fn put(&self, mut case: Case) -> Option<Case> {
        let Case { caller, request } = &mut case;
        let is_anonymous = caller.kind == CallerKind::Anonymous;
        match self {
            Self::Method(method) => (*method).clone_into(&mut request.method),
            Self::Path(path) => path.clone_into(&mut request.path),
            Self::From(address) => request.address = Some(*address),
            Self::At(now) => {
                let later = now - request.now;
                request.now = *now;
                for time in [&mut caller.auth_time, &mut caller.credential_created] {
                    *time = time.map(|time| time + later);
                }
            }
            Self::AgeSecs(age) => {
                let is_session = caller.kind == CallerKind::Session;
                if is_anonymous || is_session && *age > SESSION_SECS_MAX {
                    return None;
                }
                let then = Some(request.now - age);
                caller.credential_created = then;
                caller.auth_time = caller.auth_time.and(then);
            }
            Self::Mfa => {
                if caller.kind != CallerKind::Session {
                    return None;
                }
                caller.mfa = true;
            }
            Self::Subject(subject) => {
                if is_anonymous {
                    return None;
                }
                subject.clone_into(&mut caller.subject);
            }
            Self::Header(name, value) => {
                request.headers.retain(|(other, _)| other != name);
                request.headers.push((name.clone(), value.clone()));
            }
        }
        Some(case)
    }
}

/// Everything that is not as usual.
pub(super) type Situation = Vec<Setting>;

/// A case in this situation. Nothing where its caller cannot be in it.
pub(super) fn put(situation: &[Setting], case: &Case) -> Option<Case> {
    let case = case.clone();
    situation.iter().try_fold(case, |case, one| one.put(case))
}

/// The situations that tell these conditions apart, for a request; `methods` are others of its route, and `is_of_route`
/// says which paths are. The first situation is the one in which most of the conditions are true.
pub(super) fn situations(
    conditions: &[&Condition],
    request: &Request,
    methods: &[&'static str],
    is_of_route: impl Fn(&str) -> bool,
) -> Vec<Situation> {
    let parts = Parts::of(conditions);
    let asked = |situation: &[Setting]| -> Vec<Case> {
        let with = |caller| Case {
            caller,
            request: request.clone(),
        };
        let cases = callers().map(|caller| put(situation, &with(caller)));
        cases.into_iter().flatten().collect()
    };
    let values = Values::of(conditions, NOW);
    let mut factors = factors(&values, request, methods, is_of_route);
    // One of the values that no comparison tells apart.
    for factor in &mut factors {
        let mut seen = vec![compared(&parts, &asked(&[]))];
        factor.retain(|setting| {
            let compared = compared(&parts, &asked(std::slice::from_ref(setting)));
            let is_new = !seen.contains(&compared);
            seen.push(compared);
            is_new
        });
    }
    factors.retain(|factor| !factor.is_empty());
    factors.truncate(FACTORS_MAX);
    let mut tried: Vec<(Vec<bool>, Situation)> = Vec::new();
    let mut kept = 0;
    let mut all = combinations(&factors);
    all.sort_by_key(Vec::len);
    for situation in all {
        let cases = asked(&situation);
        let truths: Vec<bool> = cases
            .iter()
            .flat_map(|case| parts.truths(&case.caller, &case.request))
            .collect();
        let alike = tried.iter().filter(|(other, _)| *other == truths);
        if alike.count() < ALIKE_MAX && kept < KEPT_MAX {
            kept += 1;
            tried.push((truths, situation));
        }
    }
    let most = |(truths, _): &(Vec<bool>, Situation)| {
        let count = truths.iter().filter(|is_true| **is_true).count();
        std::cmp::Reverse(count)
    };
    tried.sort_by_key(most);
    tried.into_iter().map(|(_, situation)| situation).collect()
}

fn compared(parts: &Parts, cases: &[Case]) -> Vec<Vec<bool>> {
    let compared = |case: &Case| parts.comparisons(&case.caller, &case.request);
    cases.iter().map(compared).collect()
}

/// What can be otherwise than it usually is, in lists of which one is so at most.
fn factors(
    values: &Values,
    request: &Request,
    methods: &[&'static str],
    is_of_route: impl Fn(&str) -> bool,
) -> Vec<Vec<Setting>> {
    let texts = || values.texts.iter().cloned();
    let mut factors: Vec<Vec<Setting>> = Vec::new();
    let addresses = values.addresses.iter().map(|address| {
        let address = Ipv6Addr::from(*address);
        Setting::From(IpAddr::from(address).to_canonical())
    });
    factors.push(addresses.collect());
    factors.push(values.times.iter().copied().map(Setting::At).collect());
    let ages = values.ages_secs.iter().copied();
    factors.push(ages.map(Setting::AgeSecs).collect());
    factors.push(values.mfa.then_some(Setting::Mfa).into_iter().collect());
    if values.subject {
        factors.push(texts().map(Setting::Subject).collect());
    }
    if values.method {
        let others = methods.iter().filter(|method| **method != request.method);
        factors.push(others.map(|method| Setting::Method(method)).collect());
    }
    if values.path {
        let below = |text: String| [format!("{text}/x"), text];
        let paths = texts().flat_map(below);
        let paths = paths.filter(|path| is_normal(path) && is_of_route(path));
        factors.push(paths.map(Setting::Path).collect());
    }
    for name in &values.headers {
        factors.push(
            texts()
                .map(|text| Setting::Header(name.clone(), text))
                .collect(),
        );
    }
    factors
}

/// Whether a request can have this path as it is.
fn is_normal(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|segment| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
            !segment.is_empty() && segment.bytes().all(is_plain)
        })
    })
}

/// Everything as usual, and each choice of others: all of them, or so many that every two meet.
fn combinations(factors: &[Vec<Setting>]) -> Vec<Situation> {
    let count = factors
        .iter()
        .try_fold(1_usize, |count, factor| count.checked_mul(factor.len() + 1));
    if count.is_some_and(|count| count <= TRIED_MAX) {
        let mut all = vec![Vec::new()];
        for factor in factors {
            let longer: Vec<Situation> = all
                .iter()
                .flat_map(|shorter: &Situation| {
                    let with = |setting: &Setting| {
                        [shorter.as_slice(), std::slice::from_ref(setting)].concat()
                    };
                    factor.iter().map(with).collect::<Vec<_>>()
                })
                .collect();
            all.extend(longer);
        }
        return all;
    }
    let mut sizes = [1; FACTORS_MAX];
    for (size, factor) in sizes.iter_mut().zip(factors) {
        *size = factor.len() + 1;
    }
    let situation = |row: &[usize; FACTORS_MAX]| {
        let chosen = factors.iter().zip(row);
        let chosen = chosen.filter_map(|(factor, number)| factor.get(number.checked_sub(1)?));
        chosen.cloned().collect()
    };
    let rows = pairs::rows(sizes);
    let single = factors.iter().flatten().map(|one| vec![one.clone()]);
    [Vec::new()]
        .into_iter()
        .chain(single)
        .chain(rows.iter().map(situation))
        .take(TRIED_MAX)
        .collect()
}

/// One of each kind: conditions ask for it.
fn callers() -> [Caller; 4] {
    use CallerKind::{Agent, ApiKey, Session};
    let known = |kind| Caller {
        kind,
        subject: SOMEONE.to_owned(),
        credential_created: Some(NOW),
        auth_time: (kind == Session).then_some(NOW),
        ..Caller::anonymous()
    };
    [
        known(Session),
        known(ApiKey),
        known(Agent),
        Caller::anonymous(),
    ]
}
