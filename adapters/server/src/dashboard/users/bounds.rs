//! What a visitor may give to users, and whom they may change: nobody gives more than they hold, and nobody changes a
//! user who may do more than they. The API decides; pages only leave out what it would refuse.

use super::User;
use crate::dashboard::{
    catalogue::{self, Policy},
    problem::Problem,
    roles::{self, Role},
    visitor::Visitor,
};

/// What the roles give.
#[derive(Debug)]
pub(super) struct Bounds {
    policy: Policy,
    roles: Vec<Role>,
}

/// A role to choose.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) name: String,
    pub(super) chosen: bool,
}

impl Bounds {
    /// As they are now.
    ///
    /// # Errors
    /// What the API says instead.
    pub(super) async fn read(visitor: &Visitor) -> Result<Self, Problem> {
        Ok(Self {
            policy: catalogue::read(visitor).await?,
            roles: roles::read(visitor).await?,
        })
    }

    /// The roles that the visitor may give, and the one that is chosen.
    pub(super) fn offered(&self, visitor: &Visitor, chosen: &str) -> Vec<Offered> {
        let roles = self.roles.iter().filter(|role| {
            role.is_for_users() && (role.name == chosen || role.is_held(visitor, &self.policy))
        });
        roles
            .map(|role| Offered {
                chosen: role.name == chosen,
                name: role.name.clone(),
            })
            .collect()
    }

    /// Whether the visitor may change a user.
    pub(super) fn reach(&self, visitor: &Visitor, user: &User) -> bool {
        if visitor.me.user == Some(user.id) {
            return true;
        }
        // A role that is gone gives nothing.
        let role = self.roles.iter().find(|role| role.name == user.role);
        let has_no_more = role.is_none_or(|role| role.is_held(visitor, &self.policy));
        let clusters = match (&visitor.me.clusters, &user.clusters) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => theirs.iter().all(|id| mine.contains(id)),
        };
        has_no_more && clusters
    }
}
