//! The gate's order inside Envoy: failures of the address, credential, its limit, policy, bound. Every path but one ends
//! in a refusal; the one is at the end of [`decide`].

use std::{collections::BTreeSet, rc::Rc};

use scopegate_policy::{
    self as policy, ClusterSource, Clusters, Decision, Outcome, Reason, RouteInfo,
    packed::{self, Answer, pack_caller, pack_request},
    wire::{
        Cause, Question, Request,
        bound::bound,
        credential::{Door, Presented, presented},
        filter::Kind,
        forward::{Admitted, Onward, onward},
        key::{KeyFormat, recognise},
        limit::Taken,
        path,
    },
};
use uuid::Uuid;

use crate::{
    counters::Bucket,
    known::{Caller, Found, Key, key_of},
    plugin::Plugin,
    request::Client,
};

/// Why a request goes no further, and the state of the bucket that it counted against.
pub(crate) struct Stop {
    pub(crate) cause: Cause,
    pub(crate) limit: Option<Taken>,
}

impl Stop {
    pub(crate) fn at(cause: Cause) -> Self {
        Self { cause, limit: None }
    }

    fn with(cause: Cause, limit: Taken) -> Self {
        Self {
            cause,
            limit: Some(limit),
        }
    }
}

/// What a request comes to.
pub(crate) enum Step<'r> {
    /// It goes on.
    Admit(Box<Admission>),
    /// It is refused.
    Refuse(Stop),
    /// The gate is to be asked about its credential.
    Ask {
        key: Key,
        kind: Kind,
        secret: &'r str,
    },
}

/// How an admitted request goes on.
pub(crate) struct Admission {
    pub(crate) onward: Onward,
    pub(crate) limit: Taken,
}

/// A request on its way through.
#[derive(Clone, Copy)]
pub(crate) struct Passing<'p> {
    pub(crate) plugin: &'p Plugin,
    pub(crate) client: &'p Client,
    pub(crate) request_id: Uuid,
    /// What time it is to Envoy.
    pub(crate) envoy_ms: i64,
    /// What time it is at the gate.
    pub(crate) now_ms: i64,
}

impl Passing<'_> {
    /// As the gate would read it.
    pub(crate) fn question<'r>(&self, request: &Request<'r>) -> Result<Question<'r>, Cause> {
        let client = self.plugin.reads_address.then(|| self.client.address());
        Question::read(request, client, &self.plugin.declared)
    }

    /// What a request comes to, as far as can be told without the gate.
    pub(crate) fn step<'r>(&self, question: &Question<'r>) -> Step<'r> {
        let (kind, secret) = match presented(self.plugin.accepted(), Door::Api, question.headers) {
            Presented::Nothing => return self.anonymous(question),
            Presented::Several => return Step::Refuse(self.reject(Cause::SeveralCredentials)),
            Presented::Unusable => return Step::Refuse(self.reject(Cause::UnknownCredential)),
            Presented::Key(secret) => (Kind::Key, secret.expose()),
            Presented::Token(token) => (Kind::Token, token.expose()),
        };
        let prefix = &self.plugin.config.contract.prefix;
        if kind == Kind::Key && recognise(prefix, secret) == KeyFormat::BadChecksum {
            return Step::Refuse(self.reject(Cause::UnknownCredential));
        }
        let key = key_of(kind, secret);
        let found = self.plugin.known.borrow().find(&key, self.envoy_ms);
        match found {
            Found::Caller(caller) => self.known(question, &caller),
            // Of this address only what is known already is let in.
            _ if !self.failures().admitted => Step::Refuse(self.reject(Cause::TooManyFailures)),
            Found::Nothing => Step::Ask { key, kind, secret },
            Found::GateAway => Step::Refuse(Stop::at(Cause::Unavailable(
                "the gate does not answer".to_owned(),
            ))),
        }
    }

    /// What a request of somebody known comes to.
    pub(crate) fn known<'r>(&self, question: &Question<'_>, caller: &Rc<Caller>) -> Step<'r> {
        if caller.facts.is_over(self.now_ms) {
            return Step::Refuse(self.reject(caller.facts.over()));
        }
        let counted = caller.facts.counted;
        self.count(
            question,
            Bucket::Known(counted),
            counted.limit,
            Some(caller),
        )
    }

    fn anonymous<'r>(&self, question: &Question<'_>) -> Step<'r> {
        let failures = self.failures();
        if !failures.admitted {
            return Step::Refuse(Stop::with(Cause::TooManyFailures, failures));
        }
        let limit = self.plugin.config.contract.limits.anonymous;
        self.count(
            question,
            Bucket::Anonymous(self.client.address()),
            limit,
            None,
        )
    }

    fn count<'r>(
        &self,
        question: &Question<'_>,
        bucket: Bucket,
        limit: u32,
        caller: Option<&Rc<Caller>>,
    ) -> Step<'r> {
        let Some(taken) = self.plugin.counters.take(bucket, limit, self.now_ms) else {
            return Step::Refuse(Stop::at(Cause::Overloaded));
        };
        if !taken.admitted {
            return Step::Refuse(Stop::with(Cause::RateLimited, taken));
        }
        match self.decide(question, caller.map(|caller| &**caller)) {
            Ok(onward) => Step::Admit(Box::new(Admission {
                onward,
                limit: taken,
            })),
            Err(cause) => Step::Refuse(Stop::with(cause, taken)),
        }
    }

    /// Asks the policy, within what this caller may have at all and what Envoy can carry out.
    fn decide(&self, question: &Question<'_>, caller: Option<&Caller>) -> Result<Onward, Cause> {
        let plugin = self.plugin;
        let description = plugin.tables.description();
        if caller.is_none() && question.is_management() {
            return Err(Cause::NotAuthenticated);
        }
        let request = question.as_ref();
        let nobody = policy::Caller::anonymous();
        let (asks, packed) = match caller {
            Some(caller) => (&caller.facts.caller, caller.packed.clone()),
            None => (&nobody, pack_caller(plugin.tables.vocabulary(), &nobody)),
        };
        let mut packed = packed;
        pack_request(&mut packed, &request);
        let none = BTreeSet::new();
        let registered = caller.map_or(&none, |caller| &caller.facts.registered);
        let Decision { outcome, rule } = Answer::from_bits(packed::answer(&plugin.tables, &packed))
            .and_then(|answer| answer.decision(description, asks, &request))
            .map_err(|malformed| malformed.to_string())
            .and_then(|decision| bound(decision, description, asks, &request, registered))
            .map_err(Cause::PolicyFault)?;
        let visible = match outcome {
            Outcome::Allow(visible) => visible,
            Outcome::Deny(Reason::NotAuthenticated) => return Err(Cause::NotAuthenticated),
            Outcome::Deny(reason) => return Err(Cause::Denied(reason)),
        };
        let route = rule
            .route
            .and_then(|index| description.routes.get(index as usize));
        obstacle(question, caller, &visible, route)?;
        Ok(onward(&Admitted {
            question,
            declared: &plugin.declared.headers,
            cluster: route.map(|route| &route.cluster),
            caller: caller.map(|caller| &caller.identity),
            agent_cluster: caller.and_then(|caller| caller.facts.caller.agent_cluster.as_deref()),
            visible: &visible,
            request_id: self.request_id,
            forward_credentials: plugin.config.forward_credentials,
        }))
    }

    /// A rejected credential counts against its address, which sees that bucket.
    pub(crate) fn reject(&self, cause: Cause) -> Stop {
        let contract = &self.plugin.config.contract;
        match cause {
            // Nobody's fault but the gate's own.
            Cause::Unavailable(_) => return Stop::at(cause),
            // A matter of shape, refused before any look-up.
            Cause::SeveralCredentials if !contract.errors.several_credentials_401 => {
                return Stop::at(cause);
            }
            _ => {}
        }
        let bucket = Bucket::Failures(self.client.address());
        let taken = self
            .plugin
            .counters
            .take(bucket, contract.limits.failures, self.now_ms);
        match taken {
            Some(taken) if taken.admitted => Stop::with(cause, taken),
            Some(taken) => Stop::with(Cause::TooManyFailures, taken),
            None => Stop::at(Cause::Overloaded),
        }
    }

    fn failures(&self) -> Taken {
        let limit = self.plugin.config.contract.limits.failures;
        let bucket = Bucket::Failures(self.client.address());
        self.plugin.counters.look(bucket, limit, self.now_ms)
    }

    /// The state of the address's bucket for requests without a credential.
    pub(crate) fn strangers_limit(&self) -> Taken {
        let limit = self.plugin.config.contract.limits.anonymous;
        let bucket = Bucket::Anonymous(self.client.address());
        self.plugin.counters.look(bucket, limit, self.now_ms)
    }
}

/// Why Envoy could not carry out an allow: the gate's own pages are not the upstream's, and nobody here narrows a list.
fn obstacle(
    question: &Question<'_>,
    caller: Option<&Caller>,
    visible: &Clusters,
    route: Option<&RouteInfo>,
) -> Result<(), Cause> {
    if path::is_own(&question.path) {
        return Err(Cause::Denied(Reason::NoRoute));
    }
    let lists = route.is_some_and(|route| matches!(route.cluster, ClusterSource::Lists(_)));
    let is_whole = caller.is_some() && *visible == Clusters::All;
    if lists && !is_whole {
        return Err(Cause::ListNotFilterable);
    }
    Ok(())
}
