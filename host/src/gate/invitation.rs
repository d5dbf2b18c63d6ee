//! Taking up an invitation: without a credential, so bounded like a log-in.

use std::ops::ControlFlow::{self, Break, Continue};

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Gate, Stop, Trail,
    identify::Stranger,
    session::{Answer, Done},
};
use crate::{
    Cause, Request, headers, password::PASSWORD_BYTES_MAX, session::InvitationOutcome, store::Actor,
};

/// Longest invitation that is looked up, in bytes.
const INVITATION_BYTES_MAX: usize = 128;

impl Gate {
    /// Gives the user of an invitation the password that they choose. Counts against the address.
    pub async fn accept_invitation(
        &self,
        request: &Request<'_>,
        invitation: SecretString,
        password: SecretString,
    ) -> Answer {
        let mut trail = self.trail(request);
        let outcome = self
            .try_accept(request, &invitation, password, &mut trail)
            .await;
        self.answer(request, &trail, outcome).await
    }

    async fn try_accept(
        &self,
        request: &Request<'_>,
        invitation: &SecretString,
        password: SecretString,
        trail: &mut Trail<'_>,
    ) -> ControlFlow<Stop, Done> {
        if let Err(cause) = headers::check_shape(request) {
            return Break(Stop::at(cause));
        }
        if invitation.expose_secret().len() > INVITATION_BYTES_MAX
            || password.expose_secret().len() > PASSWORD_BYTES_MAX
        {
            return Break(Stop::at(Cause::InvalidRequest(
                "the invitation or the password is too long".to_owned(),
            )));
        }
        let now_ms = request.now_ms;
        let Stranger { failures, limit } = self.count_stranger(trail.client, now_ms).await?;
        // Whoever it turns out to be.
        let origin = trail.origin(Actor::Gate);
        let accepted = self
            .sessions
            .accept_invitation(invitation, password, origin, now_ms);
        match accepted.await {
            Ok(InvitationOutcome::Accepted) => Continue(Done {
                status: StatusCode::NO_CONTENT,
                body: String::new(),
                limit,
            }),
            Ok(InvitationOutcome::Unknown) => Break(
                self.reject(Cause::UnknownCredential, failures, trail, now_ms)
                    .await,
            ),
            Ok(InvitationOutcome::BadPassword(bad)) => {
                Break(Stop::with(Cause::Unprocessable(bad.to_string()), limit))
            }
            Ok(InvitationOutcome::Overloaded) => Break(Stop::with(Cause::Overloaded, limit)),
            Err(error) => Break(Stop::with(error.into(), limit)),
        }
    }
}
