//! What stands against a change.

/// What stands against a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Organizations have unique names.
    #[error("an organization `{0}` exists already")]
    OrganizationExists(String),
    /// There is none with this id.
    #[error("there is no such organization")]
    UnknownOrganization,
    /// E-mail addresses are unique in the whole store.
    #[error("a user with the e-mail address `{0}` exists already")]
    EmailTaken(String),
    /// There is none with this id, or not in this organization.
    #[error("there is no such user")]
    UnknownUser,
    /// Operators have neither role nor clusters.
    #[error("an operator has neither role nor clusters")]
    Operator,
    /// A disabled user can be given nothing.
    #[error("the user is disabled")]
    UserDisabled,
    /// Not registered, or deleted.
    #[error("there is no cluster `{0}`")]
    UnknownCluster(String),
    /// Registered already.
    #[error("a cluster `{0}` exists already")]
    ClusterExists(String),
    /// Ids of deleted clusters stay in lists, so they are never used again.
    #[error("the id `{0}` belonged to a deleted cluster and is never used again")]
    ClusterDeleted(String),
    /// There is none with this id.
    #[error("there is no such credential")]
    UnknownCredential,
    /// There is none with this id.
    #[error("there is no such session")]
    UnknownSession,
    /// The organization has none of this name.
    #[error("there is no custom role `{0}`")]
    UnknownRole(String),
    /// There is one of this name.
    #[error("a role `{0}` exists already")]
    RoleExists(String),
    /// Somebody would be left without a role.
    #[error("users have the role `{0}`")]
    RoleInUse(String),
    /// Somebody else has changed it since it was read.
    #[error("it was changed by somebody else meanwhile")]
    Stale,
    /// The invitation was taken up, replaced, or is past its end.
    #[error("the invitation is not good, or no longer")]
    UnknownInvitation,
    /// It has ended, so nothing can follow it.
    #[error("the credential has ended")]
    CredentialEnded,
    /// A successor exists.
    #[error("the credential was rotated already")]
    AlreadyRotated,
    /// Another credential, of whichever organization, has this hash. The number counts from 0 in an import.
    #[error("key {0} of the import is there already")]
    HashTaken(usize),
    /// This was done already, when it was asked for under the same idempotency key. What it made has this id.
    #[error("this was done already")]
    Replayed(String),
    /// The credential that it was begun with has ended since.
    #[error("the credential has ended meanwhile")]
    CallerEnded,
    /// What the caller may do has changed since it was begun.
    #[error("what you may do has changed meanwhile: ask again")]
    CallerChanged,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    OtherRequest,
    /// It was another when it was compared.
    #[error("the password has been changed meanwhile")]
    PasswordChanged,
    /// A confirmed one is removed before another is enrolled.
    #[error("the user has a second factor already")]
    FactorExists,
    /// None is enrolled, or none is being enrolled, or another one than before.
    #[error("the user has no such second factor")]
    NoFactor,
    /// The user has a second factor, and no code was given.
    #[error("a code of the second factor is needed")]
    FactorRequired,
    /// Each code works once, and none after a later one.
    #[error("the code was used before")]
    CodeUsed,
    /// After too many wrong codes, none is looked at for a while.
    #[error("the second factor is locked after too many wrong codes")]
    FactorLocked,
    /// It was active too long ago to be kept.
    #[error("no policy `{0}` is kept")]
    UnknownPolicy(String),
    /// Somebody was quicker, perhaps on another gate.
    #[error("another policy has become the active one meanwhile")]
    OtherPolicy,
}
