//! Lists that may be long, a page at a time.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::{
    CredentialKind,
    records::{Credential, State},
};

/// A part of a list: what comes after a place, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// The last item of the page before.
    pub after: Option<K>,
    /// Items at most.
    pub limit: u32,
}

/// By what credentials are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CredentialColumn {
    /// When they were minted.
    #[default]
    CreatedAt,
    /// Their names, whatever the case of their ASCII letters.
    Name,
    /// When they were last used; those that never were come last.
    LastUsedAt,
    /// When they end by themselves; those that never do come last.
    ExpiresAt,
}

impl CredentialColumn {
    const ALL: [(Self, &'static str); 4] = [
        (Self::CreatedAt, "created_at"),
        (Self::Name, "name"),
        (Self::LastUsedAt, "last_used_at"),
        (Self::ExpiresAt, "expires_at"),
    ];

    fn word(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(column, _)| *column == self);
        found.map_or("", |(_, word)| word)
    }
}

/// In which order credentials are listed: as text, the column's name, with a `-` before it where the highest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialOrder {
    /// By what. Those that are alike in it are ordered by their ids.
    pub by: CredentialColumn,
    /// Whether the highest comes first.
    pub is_descending: bool,
}

/// Newest first.
impl Default for CredentialOrder {
    fn default() -> Self {
        Self {
            by: CredentialColumn::CreatedAt,
            is_descending: true,
        }
    }
}

impl fmt::Display for CredentialOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_descending { "-" } else { "" };
        write!(f, "{sign}{}", self.by.word())
    }
}

impl FromStr for CredentialOrder {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (is_descending, word) = match text.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, text),
        };
        let found = CredentialColumn::ALL
            .into_iter()
            .find(|(_, known)| *known == word);
        let (by, _) = found.ok_or(())?;
        Ok(Self { by, is_descending })
    }
}

/// What a credential is ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialValue {
    /// Its id alone, which begins with the time.
    Id,
    /// Its name.
    Name(String),
    /// A moment, in seconds since the epoch, or none.
    Time(Option<i64>),
}

/// A credential's place in a list of this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialPlace {
    /// The list's.
    pub order: CredentialOrder,
    /// What it is ordered by.
    pub value: CredentialValue,
    /// Its id.
    pub id: Uuid,
}

impl CredentialPlace {
    /// Where a credential stands among the newest.
    pub fn of_id(id: Uuid) -> Self {
        Self {
            order: CredentialOrder::default(),
            value: CredentialValue::Id,
            id,
        }
    }

    /// Where a credential stands in a list of this order.
    pub fn of(credential: &Credential, order: CredentialOrder) -> Self {
        let value = match order.by {
            CredentialColumn::CreatedAt => CredentialValue::Id,
            CredentialColumn::Name => CredentialValue::Name(credential.name.clone()),
            CredentialColumn::LastUsedAt => CredentialValue::Time(credential.last_used_at),
            CredentialColumn::ExpiresAt => CredentialValue::Time(credential.expires_at),
        };
        Self {
            order,
            value,
            id: credential.id,
        }
    }
}

impl fmt::Display for CredentialPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.order)?;
        match &self.value {
            CredentialValue::Id | CredentialValue::Time(None) => Ok(()),
            CredentialValue::Name(name) => write!(f, " {name}"),
            CredentialValue::Time(Some(at)) => write!(f, " {at}"),
        }
    }
}

impl FromStr for CredentialPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // A name may have spaces.
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next();
        let id = word().and_then(|id| id.parse().ok()).ok_or(())?;
        let order: CredentialOrder = word().ok_or(())?.parse()?;
        let value = match (order.by, word()) {
            (CredentialColumn::CreatedAt, None) => CredentialValue::Id,
            (CredentialColumn::Name, Some(name)) => CredentialValue::Name(name.to_owned()),
            (CredentialColumn::LastUsedAt | CredentialColumn::ExpiresAt, at) => {
                let at = at.map(str::parse).transpose();
                CredentialValue::Time(at.map_err(|_| ())?)
            }
            _ => return Err(()),
        };
        Ok(Self { order, value, id })
    }
}

/// Which credentials, all of one organization.
#[derive(Clone, Debug)]
pub struct CredentialFilter {
    /// Whose.
    pub organization: Uuid,
    /// What they are.
    pub kind: CredentialKind,
    /// Only this user's.
    pub owner: Option<Uuid>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only agents of these clusters.
    pub clusters: Option<Vec<String>>,
    /// Only those whose name has this in it, whatever its case.
    pub name: Option<String>,
    /// In which order.
    pub order: CredentialOrder,
    /// Seconds since the epoch, for the state.
    pub now: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let id = Uuid::from_u128(7);
        for (order, value) in [
            ("created_at", CredentialValue::Id),
            ("-created_at", CredentialValue::Id),
            ("name", CredentialValue::Name("a b  c".to_owned())),
            ("-last_used_at", CredentialValue::Time(Some(12))),
            ("expires_at", CredentialValue::Time(None)),
        ] {
            let order: CredentialOrder = order.parse().unwrap();
            let place = CredentialPlace { order, value, id };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for wrong in [
            "",
            "x",
            &id.to_string(),
            &format!("{id} name"),
            &format!("{id} expires_at x"),
        ] {
            assert_eq!(wrong.parse::<CredentialPlace>(), Err(()), "{wrong}");
        }
    }
}
