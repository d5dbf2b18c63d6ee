//! Why a request was refused, in full, for the log; and the poor message that the caller gets for it.

use http::StatusCode;
use scopegate_policy::Reason;

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
    /// Wrong e-mail address or password.
    BadLogin,
    /// The policy refused.
    Denied(Reason),
    /// The method is not one that this endpoint of the gate has.
    MethodNotAllowed,
    /// The body is larger than the endpoint takes.
    BodyTooLarge,
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
    /// The upstream cannot be reached or broke the protocol. The text is for the log.
    BadGateway(String),
    /// The upstream did not answer in time.
    GatewayTimeout,
    /// The upstream's list could not be narrowed. The text is for the log.
    UnfilterableList(String),
}

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
            Self::Denied(reason) => reason.code(),
            Self::MethodNotAllowed => "method-not-allowed",
            Self::BodyTooLarge => "body-too-large",
            Self::RateLimited => "rate-limited",
            Self::TooManyFailures => "too-many-failures",
            Self::PolicyFault(_) => "policy-fault",
            Self::Overloaded => "overloaded",
            Self::Unavailable(_) => "unavailable",
            Self::BadGateway(_) => "bad-gateway",
            Self::GatewayTimeout => "gateway-timeout",
            Self::UnfilterableList(_) => "unfilterable-list",
        }
    }

    /// The HTTP status, before a contract has its say.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest(_) | Self::SeveralCredentials | Self::Denied(Reason::AmbiguousPath) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotAuthenticated
            | Self::UnknownCredential
            | Self::Revoked
            | Self::Expired
            | Self::InvalidToken(_)
            | Self::TokenExpired
            | Self::MissingOrgId
            | Self::BadLogin
            | Self::Denied(Reason::NotAuthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Reason::NoRoute) => StatusCode::NOT_FOUND,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited | Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::PolicyFault(_) | Self::Overloaded | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway(_) | Self::UnfilterableList(_) => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}
