//! `/access/v1/search/…`: who may, on what, and how. A search puts to the policy the questions that evaluations would put, so
//! that the two agree; no search is a shortcut.

use scopegate_host::{
    Cause, Gate,
    gate::{Asked, Evaluator, Subject, is_answer, path_of},
    store::{
        CredentialFilter, CredentialKind, CredentialOrder, CredentialPlace, Page as StorePage,
        StoreError,
    },
};
use scopegate_policy::ClusterSource;
use serde_json::{Map, Value, json};

use super::{
    read::{Context, Members, Thing},
    target::{Target, target},
    token::Page,
};

/// What is looked at together, where it comes from the store.
const BATCH: u32 = 100;
/// Methods that are tried besides those that the policy names.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    Subject,
    Resource,
    Action,
}

/// Something that may be a result, with its place in the order of the search.
#[derive(Clone)]
struct Candidate {
    place: String,
    what: What,
}

#[derive(Clone)]
enum What {
    /// How a subject is named, and what else is said of them.
    Subject { id: String, properties: Value },
    /// A cluster's id.
    Cluster(String),
    /// The place of a route in the policy's description.
    Route(usize),
    /// A method or a permission.
    Action(String),
}

/// Where candidates come from.
enum Source {
    Listed(Vec<Candidate>),
    Users,
    Credentials(CredentialKind),
}

/// The resource of a search that has one.
enum Resource<'v> {
    Route(Target),
    Cluster(&'v str),
}

struct Search<'s> {
    evaluator: &'s Evaluator<'s>,
    gate: &'s Gate,
    /// Whose actions or resources are sought.
    subject: Subject,
    /// The type of the subjects that are sought.
    subject_kind: &'s str,
    /// Empty where actions are sought.
    action: &'s str,
    /// Nothing where resources are sought.
    resource: Option<Resource<'s>>,
    context: Context,
}

/// A page of results.
///
/// # Errors
/// What is wrong with the search, or why nobody can tell.
pub(super) async fn page(
    evaluator: &Evaluator<'_>,
    gate: &Gate,
    sought: Sought,
    asked: &Map<String, Value>,
) -> Result<Value, Cause> {
    let members = Members::of(asked);
    let subject = match sought {
        Sought::Subject => members.subject_type()?,
        Sought::Resource | Sought::Action => members.subject()?,
    };
    let action = match sought {
        Sought::Action => "",
        Sought::Subject | Sought::Resource => members.action()?,
    };
    let resource = match sought {
        Sought::Resource => members.resource_type()?,
        Sought::Subject | Sought::Action => members.resource()?,
    };
    let context = members.context(evaluator.now_ms())?;
    let page = Page::read(asked, sought, evaluator.organization())?;
    let on = match (sought, resource.kind) {
        (Sought::Resource, _) => None,
        (_, "route") => Some(Resource::Route(target(&resource)?)),
        (_, "cluster") => Some(Resource::Cluster(resource.id)),
        _ => return Ok(shown(&[], None)),
    };
    let name = match sought {
        Sought::Subject => None,
        _ => Some(subject.as_subject()?),
    };
    let search = Search {
        evaluator,
        gate,
        subject: match &name {
            Some(name) => evaluator.find(name).await?,
            None => Subject::anonymous(),
        },
        subject_kind: subject.kind,
        action,
        resource: on,
        context,
    };
    let source = search.source(sought, &resource).await?;
    search.page(source, &page).await
}

/// The last page has an empty token.
fn shown(results: &[Value], token: Option<String>) -> Value {
    json!({
        "results": results,
        "page": { "next_token": token.unwrap_or_default(), "count": results.len() },
    })
}

impl Search<'_> {
    /// What may be a result. Of a type that is not known nothing may.
    async fn source(&self, sought: Sought, resource: &Thing<'_>) -> Result<Source, Cause> {
        Ok(match sought {
            Sought::Subject => match self.subject_kind {
                "user" => Source::Users,
                "key" | "api_key" => Source::Credentials(CredentialKind::ApiKey),
                "agent" => Source::Credentials(CredentialKind::Agent),
                "anonymous" => Source::Listed(numbered([What::Subject {
                    id: "anonymous".to_owned(),
                    properties: json!({}),
                }])),
                _ => Source::Listed(Vec::new()),
            },
            Sought::Resource => match resource.kind {
                "cluster" => {
                    let clusters = self.clusters().await?;
                    let candidate = |id: String| Candidate {
                        place: id.clone(),
                        what: What::Cluster(id),
                    };
                    Source::Listed(clusters.into_iter().map(candidate).collect())
                }
                "route" => Source::Listed(numbered(self.routes())),
                _ => Source::Listed(Vec::new()),
            },
            Sought::Action => Source::Listed(numbered(self.actions())),
        })
    }

    async fn clusters(&self) -> Result<Vec<String>, Cause> {
        let organization = self.evaluator.organization();
        let registered = self.gate.directory().registered(organization).await;
        let registered = registered.map_err(unavailable)?;
        Ok(registered.iter().cloned().collect())
    }

    /// The policy's own routes of the method that is asked about.
    fn routes(&self) -> Vec<What> {
        let method = match self.action {
            "HEAD" => "GET",
            method => method,
        };
        let routes = self.evaluator.description().routes.iter().enumerate();
        routes
            .filter(|(_, route)| !route.is_management())
            .filter(|(_, route)| route.method == method || route.method == "*")
            .map(|(index, _)| What::Route(index))
            .collect()
    }

    /// Every method that a route may have, or every permission that may be used on a cluster.
    fn actions(&self) -> Vec<What> {
        let description = self.evaluator.description();
        let names: Vec<&str> = match self.resource {
            Some(Resource::Cluster(_)) => {
                let permissions = description.own_permissions();
                permissions.map(|known| known.name.as_str()).collect()
            }
            _ => {
                let routes = description.routes.iter().map(|route| route.method.as_str());
                let routes = routes.filter(|method| *method != "*");
                let mut methods: Vec<&str> = METHODS.into_iter().chain(routes).collect();
                methods.sort_unstable();
                methods.dedup();
                methods
            }
        };
        let actions = names.into_iter().map(str::to_owned);
        actions.map(What::Action).collect()
    }

    /// Looks at candidates until there are enough results, or enough was asked in this request.
    async fn page(&self, source: Source, page: &Page) -> Result<Value, Cause> {
        let mut results = Vec::new();
        let mut place = page.after.clone();
        let mut is_first = true;
        loop {
            let (batch, is_last) = self.batch(&source, place.as_deref()).await?;
            for candidate in &batch {
                // Something is looked at in every request, so that a search comes to its end.
                let is_full = results.len() >= page.limit;
                if !is_first && (is_full || self.evaluator.is_spent()) {
                    return Ok(shown(&results, place.map(|place| page.token(&place))));
                }
                is_first = false;
                results.extend(self.ask(&candidate.what).await?);
                place = Some(candidate.place.clone());
            }
            if is_last || batch.is_empty() {
                return Ok(shown(&results, None));
            }
        }
    }

    /// The next candidates after a place, and whether they are the last.
    async fn batch(
        &self,
        source: &Source,
        after: Option<&str>,
    ) -> Result<(Vec<Candidate>, bool), Cause> {
        let organization = self.evaluator.organization();
        let store = self.gate.directory().store();
        let candidates: Vec<Candidate> = match source {
            Source::Listed(all) => {
                let after = |one: &&Candidate| after.is_none_or(|place| *one.place > *place);
                let rest = all.iter().filter(after).cloned();
                return Ok((rest.collect(), true));
            }
            Source::Users => {
                let page = StorePage {
                    after: after.map(str::to_owned),
                    limit: BATCH,
                };
                let users = store.page_users(organization, None, &page).await;
                let users = users.map_err(unavailable)?.into_iter();
                let candidate = |user: scopegate_host::store::User| Candidate {
                    what: What::Subject {
                        id: user.id.to_string(),
                        properties: json!({ "email": user.email }),
                    },
                    place: user.email,
                };
                users.map(candidate).collect()
            }
            Source::Credentials(kind) => {
                let page = StorePage {
                    after: after
                        .and_then(|place| place.parse().ok())
                        .map(CredentialPlace::of_id),
                    limit: BATCH,
                };
                let filter = CredentialFilter {
                    organization,
                    kind: *kind,
                    owner: None,
                    state: None,
                    clusters: None,
                    name: None,
                    order: CredentialOrder::default(),
                    now: self.evaluator.now_ms().div_euclid(1000),
                };
                let found = store.page_credentials(&filter, &page).await;
                let found = found.map_err(unavailable)?.into_iter();
                let candidate = |one: scopegate_host::store::Credential| Candidate {
                    place: one.id.to_string(),
                    what: What::Subject {
                        id: one.id.to_string(),
                        properties: json!({ "name": one.name }),
                    },
                };
                found.map(candidate).collect()
            }
        };
        let is_last = candidates.len() < BATCH as usize;
        Ok((candidates, is_last))
    }

    /// What is shown of a candidate that is a result.
    async fn ask(&self, what: &What) -> Result<Option<Value>, Cause> {
        match what {
            What::Subject { id, properties } => {
                let thing = Thing {
                    kind: self.subject_kind,
                    id,
                    properties: None,
                };
                let subject = self.evaluator.find(&thing.as_subject()?).await?;
                let shown =
                    json!({ "type": self.subject_kind, "id": id, "properties": properties });
                Ok(self.may(&subject, self.action).await?.then_some(shown))
            }
            What::Action(name) => {
                let may = self.may(&self.subject, name).await?;
                Ok(may.then(|| json!({ "name": name })))
            }
            What::Cluster(id) => {
                let may = self.on_cluster(&self.subject, self.action, id).await?;
                Ok(may.then(|| json!({ "type": "cluster", "id": id })))
            }
            What::Route(index) => self.route(*index).await,
        }
    }

    /// Whether the subject may do this to the resource of the search.
    async fn may(&self, subject: &Subject, action: &str) -> Result<bool, Cause> {
        match &self.resource {
            Some(Resource::Route(target)) => {
                let path = &target.path;
                self.on_route(subject, action, path, &target.query).await
            }
            Some(Resource::Cluster(id)) => self.on_cluster(subject, action, id).await,
            None => Ok(false),
        }
    }

    /// A route that the subject may use, for those of their clusters that its path names.
    async fn route(&self, index: usize) -> Result<Option<Value>, Cause> {
        let description = self.evaluator.description();
        let Some(route) = description.routes.get(index) else {
            return Ok(None);
        };
        let shown = |properties: Value| json!({ "type": "route", "id": route.pattern, "properties": properties });
        let ClusterSource::Path(_) = route.cluster else {
            let path = path_of(route, None);
            let may = self.on_this(index, &path).await?;
            return Ok(may.then(|| shown(json!({}))));
        };
        let mut clusters = Vec::new();
        for cluster in self.clusters().await? {
            if self.on_this(index, &path_of(route, Some(&cluster))).await? {
                clusters.push(cluster);
            }
        }
        Ok((!clusters.is_empty()).then(|| shown(json!({ "clusters": clusters }))))
    }

    /// Whether the subject may ask for this path, which no other route takes.
    async fn on_this(&self, index: usize, path: &str) -> Result<bool, Cause> {
        let asked = Asked {
            method: self.action,
            path,
            query: "",
            around: self.context.around(),
        };
        answered(self.evaluator.try_route(&self.subject, &asked, index).await)
    }

    async fn on_route(
        &self,
        subject: &Subject,
        method: &str,
        path: &str,
        query: &str,
    ) -> Result<bool, Cause> {
        let asked = Asked {
            method,
            path,
            query,
            around: self.context.around(),
        };
        answered(self.evaluator.try_out(subject, &asked).await.map(drop))
    }

    async fn on_cluster(
        &self,
        subject: &Subject,
        permission: &str,
        cluster: &str,
    ) -> Result<bool, Cause> {
        let around = self.context.around();
        let answer = self
            .evaluator
            .try_out_cluster(subject, permission, cluster, &around);
        answered(answer.await)
    }
}

fn answered(answer: Result<(), Cause>) -> Result<bool, Cause> {
    match answer {
        Ok(()) => Ok(true),
        Err(cause) if is_answer(&cause) => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn unavailable(error: StoreError) -> Cause {
    Cause::Unavailable(error.to_string())
}

/// Candidates whose order is that of a list.
fn numbered(all: impl IntoIterator<Item = What>) -> Vec<Candidate> {
    let all = all.into_iter().enumerate();
    all.map(|(index, what)| Candidate {
        place: format!("{index:08}"),
        what,
    })
    .collect()
}
