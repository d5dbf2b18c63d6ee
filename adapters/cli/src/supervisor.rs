//! What the program that started the server is told: systemd and others that set `NOTIFY_SOCKET` (`sd_notify(3)`).

use sd_notify::NotifyState;

/// Requests are answered.
pub(crate) fn ready() {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status("answering requests"),
    ]);
}

/// What is under way is being finished.
pub(crate) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is under way"),
    ]);
}

/// Where nobody asked to be told, nobody is. One that cannot be told thinks what it thinks: the server goes on.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor cannot be told");
    }
}
