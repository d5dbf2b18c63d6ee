//! Organizations: one's own, and for operators all.

use axum::{
    Json as Reply,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use jiff::Timestamp;
use scopegate_host::{
    Cause,
    admin::{ImportedKey, Reply as Done},
    store::Organization,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::{Caller, Id, Json, Parameters},
    error::Failed,
    once::{OnceKey, shown_once},
    page::{Listed, PageParameters},
    version::{Changes, etag},
    view::{InvitationView, OrganizationView},
};

/// The largest import, in bytes: 10,000 keys fit.
const IMPORT_BYTES_MAX: usize = 4 << 20;

/// An organization to be made
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateOrganization {
    /// Its name, unique
    #[schema(min_length = 1, max_length = 255, example = "Acme")]
    name: String,
    /// The e-mail address of its first administrator
    #[schema(max_length = 254, example = "admin@acme.example")]
    admin: String,
}

/// A new organization
// No `Debug`: the secret is shown to the caller alone.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedOrganization {
    /// It
    #[serde(flatten)]
    organization: OrganizationView,
    /// Of its first administrator
    admin: InvitationView,
}

/// What is changed about an organization
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RenameOrganization {
    /// Its name, unique
    #[schema(min_length = 1, max_length = 255, example = "Acme")]
    name: String,
}

/// Keys that were minted elsewhere
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportKeys {
    /// They: all of them are taken over, or none
    #[schema(min_items = 1, max_items = 10000)]
    keys: Vec<ForeignKey>,
}

/// A key of which only the hash is known
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForeignKey {
    /// What it is for
    #[schema(min_length = 1, max_length = 255, example = "grafana-export")]
    name: String,
    /// The SHA-256 of the whole key, in hex
    #[schema(
        pattern = "^[0-9a-fA-F]{64}$",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    sha256: String,
    /// Its owner's e-mail address; required where keys act for their owner
    #[schema(max_length = 254, example = "ada@example.com")]
    #[serde(default)]
    owner: Option<String>,
    /// What it is narrowed to
    #[schema(example = json!(["clusters:read"]))]
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// The clusters that it is restricted to; empty: every cluster
    #[schema(example = json!(["prod"]))]
    #[serde(default)]
    allowed_cluster_ids: Vec<String>,
    /// When it ends by itself
    #[serde(default)]
    expires_at: Option<Timestamp>,
    /// How it begins, for lists
    #[schema(max_length = 32, example = "k8c_live_")]
    #[serde(default)]
    prefix: String,
    /// How it ends, for lists
    #[schema(max_length = 4, example = "Lq17")]
    #[serde(default)]
    last_four: String,
}

/// The keys that were taken over
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportedKeys {
    /// Their ids, in their order
    #[schema(example = json!(["0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11"]))]
    keys: Vec<Uuid>,
}

/// Read my organization
#[utoipa::path(get, path = "/-/api/organization", tag = "Organizations", operation_id = "readOwnOrganization",
    responses((status = 200, body = OrganizationView, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn read_own(caller: Caller) -> Result<impl IntoResponse, Failed> {
    let organization = caller.admin().own_organization().await?;
    Ok(shown(organization))
}

/// Rename my organization
///
/// Needs the permission `manage:organization` and a sign-in at most 15 minutes old.
#[utoipa::path(patch, path = "/-/api/organization", tag = "Organizations", operation_id = "renameOwnOrganization",
    request_body = RenameOrganization,
    params(("If-Match" = String, Header, description = "The `ETag` of the version that is changed, or `*`")),
    responses((status = 200, body = OrganizationView, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn rename_own(
    caller: Caller,
    Changes(expected): Changes,
    Json { value, .. }: Json<RenameOrganization>,
) -> Result<impl IntoResponse, Failed> {
    let admin = caller.admin();
    let id = admin.own_organization().await?.id;
    let renamed = admin
        .rename_organization(id, value.name, expected, caller.now_ms)
        .await?;
    Ok(shown(renamed))
}

/// List organizations
///
/// For operators.
#[utoipa::path(get, path = "/-/api/organizations", tag = "Organizations", operation_id = "listOrganizations",
    params(PageParameters), responses((status = 200, body = Listed<OrganizationView>)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(parameters): Parameters<PageParameters>,
) -> Result<Reply<Listed<OrganizationView>>, Failed> {
    let page = parameters.page()?;
    let found = caller.admin().organizations(&page).await?;
    let key = |organization: &Organization| organization.name.clone();
    Ok(Reply(Listed::of(found, &page, key, Into::into)))
}

/// Create an organization
///
/// Together with its first administrator, whose invitation is shown once. For operators, with a sign-in at most 15
/// minutes old.
#[utoipa::path(post, path = "/-/api/organizations", tag = "Organizations", operation_id = "createOrganization",
    request_body = CreateOrganization,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send the request again within a day",
        min_length = 1, max_length = 255, pattern = "^[!-~]+$")),
    responses((status = 201, body = CreatedOrganization)))]
pub(super) async fn create(
    caller: Caller,
    once: OnceKey,
    Json { value, bytes }: Json<CreateOrganization>,
) -> Result<Response, Failed> {
    let (organization, invitation) = caller
        .admin()
        .found_organization(value.name, value.admin, once.of(&bytes), caller.now_ms)
        .await?;
    let replayed = invitation.secret.is_none();
    let created = CreatedOrganization {
        organization: organization.into(),
        admin: invitation.into(),
    };
    Ok(shown_once(created, replayed))
}

/// Read an organization
///
/// For operators.
#[utoipa::path(get, path = "/-/api/organizations/{organization}", tag = "Organizations",
    operation_id = "readOrganization", params(("organization" = Uuid, Path, description = "Its id")),
    responses((status = 200, body = OrganizationView, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn read(
    caller: Caller,
    Id(organization): Id<Uuid>,
) -> Result<impl IntoResponse, Failed> {
    let organization = caller.admin().organization_by_id(organization).await?;
    Ok(shown(organization))
}

/// Rename an organization
///
/// For operators, with a sign-in at most 15 minutes old.
#[utoipa::path(patch, path = "/-/api/organizations/{organization}", tag = "Organizations",
    operation_id = "renameOrganization", request_body = RenameOrganization,
    params(("organization" = Uuid, Path, description = "Its id"),
        ("If-Match" = String, Header, description = "The `ETag` of the version that is changed, or `*`")),
    responses((status = 200, body = OrganizationView, headers(("ETag" = String, description = "Which version it is")))))]
pub(super) async fn rename(
    caller: Caller,
    Id(organization): Id<Uuid>,
    Changes(expected): Changes,
    Json { value, .. }: Json<RenameOrganization>,
) -> Result<impl IntoResponse, Failed> {
    let renamed = caller
        .admin()
        .rename_organization(organization, value.name, expected, caller.now_ms)
        .await?;
    Ok(shown(renamed))
}

/// Import keys
///
/// Takes over keys that were minted elsewhere, by their SHA-256: they go on working, under this contract's rules. For
/// operators, with a sign-in at most 15 minutes old.
#[utoipa::path(post, path = "/-/api/organizations/{organization}/keys/import", tag = "Organizations",
    operation_id = "importKeys", request_body = ImportKeys,
    params(("organization" = Uuid, Path, description = "Its id")),
    responses((status = 201, body = ImportedKeys)))]
pub(super) async fn import(
    caller: Caller,
    Id(organization): Id<Uuid>,
    Json { value, .. }: Json<ImportKeys, IMPORT_BYTES_MAX>,
) -> Result<impl IntoResponse, Failed> {
    let keys = value.keys.into_iter().map(|key| ImportedKey {
        name: key.name,
        sha256: key.sha256,
        owner: key.owner,
        scopes: key.scopes,
        allowed_cluster_ids: key.allowed_cluster_ids,
        expires_at: key.expires_at.map(Timestamp::as_second),
        prefix: key.prefix,
        last_four: key.last_four,
    });
    let organization = Some(organization.to_string());
    let admin = caller.admin();
    let imported = admin
        .import_keys(organization, keys.collect(), caller.now_ms)
        .await?;
    match imported {
        Done::Imported { keys } => Ok((StatusCode::CREATED, Reply(ImportedKeys { keys }))),
        _ => Err(Failed(Cause::Unavailable(
            "the import answered with something else".to_owned(),
        ))),
    }
}

fn shown(organization: Organization) -> impl IntoResponse {
    (
        etag(organization.epoch),
        Reply(OrganizationView::from(organization)),
    )
}
