//! Why a request was refused, in full, for the log; and the poor message that the caller gets for it.

use crate::Reason;
use http::StatusCode;

/// Every way in which the gate or an adapter refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The shape of the request is wrong: path, header, method, host. The text names the place.
    InvalidRequest(String),
    /// Several credentials, or one header of a credential twice.
    SeveralCredentials,
    /// No credential was presented, and the route needs one.
    NotAuthenticated,
    /// A presented key, agent token or scheme that is not accepted: empty, malformed, checksum, unknown.
    UnknownCredential,
    /// The credential was revoked, or its user disabled.
    Revoked,
    /// A key or agent token past its expiry.
    Expired,
    /// A JWT that cannot be believed: unparsable, `kid`, algorithm, signature, issuer, audience.
    InvalidToken(&'static str),
    /// A JWT past its `exp`.
    TokenExpired,
    /// A JWT without an `org_id` claim.
    MissingOrgId,
    /// Wrong e-mail address or password, or a wrong code with the right ones.
    BadLogin,
    /// The password is right, and a code of the second factor is needed.
    OtpRequired,
    /// The policy refused.
    Denied(Reason),
    /// The method is not one that this endpoint of the gate has.
    MethodNotAllowed,
    /// The body is not of the type that the endpoint takes, which is this one.
    UnsupportedMediaType(&'static str),
    /// The body is larger than the endpoint takes.
    BodyTooLarge,
    /// What is asked for is well-formed, and not possible by the contract, the policy or the moment.
    Unprocessable(String),
    /// There is nothing of this name, or nothing that the caller may know of.
    NotFound(String),
    /// It stands against something that is there.
    Conflict(String),
    /// It is more than the caller may give or change.
    NotHeld(String),
    /// Somebody else has changed it since the caller read it.
    Stale(String),
    /// The request must say what it changes, by `If-Match`.
    PreconditionRequired,
    /// The credential's limit is used up.
    RateLimited,
    /// Too many rejected credentials or log-ins from this address or for this account.
    TooManyFailures,
    /// The policy trapped, timed out or made no sense. The text is for the log.
    PolicyFault(String),
    /// Every place for a decision is taken.
    Overloaded,
    /// The store cannot be read. The text is for the log.
    Unavailable(String),
    /// The change is made, and not all gates are known to have heard of it.
    RevocationPending,
    /// The upstream cannot be reached or broke the protocol. The text is for the log.
    BadGateway(String),
    /// The upstream did not answer in time.
    GatewayTimeout,
    /// The upstream's list could not be narrowed. The text is for the log.
    UnfilterableList(String),
    /// The reply is a list that would have to be narrowed, and whoever asks only asks.
    ListNotFilterable,
}

/// Every code that a [`Cause`] can have, apart from the words of hand-written policies; `docs/problems.md` explains
/// each.
pub const CODES: [&str; 40] = [
    "invalid_request",
    "not-authenticated",
    "unknown-credential",
    "revoked",
    "expired",
    "invalid-token",
    "token-expired",
    "missing-org-id",
    "bad-login",
    "otp_required",
    "no-route",
    "ambiguous-path",
    "missing-permission",
    "cluster-not-allowed",
    "cluster-required",
    "clusters-restricted",
    "read-only-key",
    "agent-outside-cluster",
    "operator-required",
    "sign-in-required",
    "condition-not-met",
    "method-not-allowed",
    "unsupported-media-type",
    "body-too-large",
    "unprocessable",
    "not-found",
    "conflict",
    "not-held",
    "stale",
    "precondition-required",
    "rate-limited",
    "too-many-failures",
    "policy-fault",
    "overloaded",
    "unavailable",
    "revocation_pending",
    "bad-gateway",
    "gateway-timeout",
    "unfilterable-list",
    "list-not-filterable",
];

impl Cause {
    /// The machine-readable word, which is stable: `code` in problem documents, `reason` in audit records.
    pub fn code(&self) -> &str {
        match self {
            Self::InvalidRequest(_) | Self::SeveralCredentials => "invalid_request",
            Self::NotAuthenticated => "not-authenticated",
            Self::UnknownCredential => "unknown-credential",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::InvalidToken(_) => "invalid-token",
            Self::TokenExpired => "token-expired",
            Self::MissingOrgId => "missing-org-id",
            Self::BadLogin => "bad-login",
            Self::OtpRequired => "otp_required",
            Self::Denied(reason) => reason.code(),
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnsupportedMediaType(_) => "unsupported-media-type",
            Self::BodyTooLarge => "body-too-large",
            Self::Unprocessable(_) => "unprocessable",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::NotHeld(_) => "not-held",
            Self::Stale(_) => "stale",
            Self::PreconditionRequired => "precondition-required",
            Self::RateLimited => "rate-limited",
            Self::TooManyFailures => "too-many-failures",
            Self::PolicyFault(_) => "policy-fault",
            Self::Overloaded => "overloaded",
            Self::Unavailable(_) => "unavailable",
            Self::RevocationPending => "revocation_pending",
            Self::BadGateway(_) => "bad-gateway",
            Self::GatewayTimeout => "gateway-timeout",
            Self::UnfilterableList(_) => "unfilterable-list",
            Self::ListNotFilterable => "list-not-filterable",
        }
    }

    /// Whether the credential was good once, and is over.
    pub fn is_an_end(&self) -> bool {
        matches!(self, Self::Revoked | Self::Expired | Self::TokenExpired)
    }

    /// The HTTP status, before a contract has its say.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest(_)
            | Self::SeveralCredentials
            | Self::Denied(Reason::AmbiguousPath) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated
            | Self::UnknownCredential
            | Self::Revoked
            | Self::Expired
            | Self::InvalidToken(_)
            | Self::TokenExpired
            | Self::MissingOrgId
            | Self::BadLogin
            | Self::OtpRequired
            | Self::Denied(Reason::NotAuthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Reason::NoRoute) | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Denied(_) | Self::NotHeld(_) | Self::ListNotFilterable => StatusCode::FORBIDDEN,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited | Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::PolicyFault(_)
            | Self::Overloaded
            | Self::Unavailable(_)
            | Self::RevocationPending => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway(_) | Self::UnfilterableList(_) => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_and_documented() {
        let s = String::new;
        let reasons = [
            Reason::NotAuthenticated,
            Reason::NoRoute,
            Reason::AmbiguousPath,
            Reason::MissingPermission(s()),
            Reason::ClusterNotAllowed(s()),
            Reason::ClusterRequired,
            Reason::ClustersRestricted,
            Reason::ReadOnlyKey,
            Reason::AgentOutsideCluster(s()),
            Reason::OperatorRequired,
            Reason::SignInRequired,
            Reason::ConditionNotMet,
        ];
        let causes = [
            Cause::InvalidRequest(s()),
            Cause::SeveralCredentials,
            Cause::NotAuthenticated,
            Cause::UnknownCredential,
            Cause::Revoked,
            Cause::Expired,
            Cause::InvalidToken(""),
            Cause::TokenExpired,
            Cause::MissingOrgId,
            Cause::BadLogin,
            Cause::OtpRequired,
            Cause::MethodNotAllowed,
            Cause::UnsupportedMediaType(""),
            Cause::BodyTooLarge,
            Cause::Unprocessable(s()),
            Cause::NotFound(s()),
            Cause::Conflict(s()),
            Cause::NotHeld(s()),
            Cause::Stale(s()),
            Cause::PreconditionRequired,
            Cause::RateLimited,
            Cause::TooManyFailures,
            Cause::PolicyFault(s()),
            Cause::Overloaded,
            Cause::Unavailable(s()),
            Cause::RevocationPending,
            Cause::BadGateway(s()),
            Cause::GatewayTimeout,
            Cause::UnfilterableList(s()),
            Cause::ListNotFilterable,
        ];
        let causes: Vec<Cause> = causes
            .into_iter()
            .chain(reasons.map(Cause::Denied))
            .collect();
        let page = include_str!("../../../docs/problems.md");
        for cause in &causes {
            assert!(
                CODES.contains(&cause.code()),
                "`{}` is not listed",
                cause.code()
            );
            let row = format!("\n## {}\n\n**{}**", cause.code(), cause.status().as_u16());
            assert!(
                page.contains(&row),
                "docs/problems.md lacks `{}` with its status",
                cause.code()
            );
        }
        for code in CODES {
            assert!(
                causes.iter().any(|cause| cause.code() == code),
                "nothing has the code `{code}`"
            );
        }
    }
}
