//! What a store consists of, in an order in which whatever is named by a row is there before it.

use crate::store::{
    StoreError,
    database::{Row, Value},
};

/// A table. Its first columns are its key.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key_len: usize,
    pub(super) columns: &'static [Column],
}

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
    Bytes,
    Bool,
}

impl Table {
    pub(super) fn key(&self) -> &'static [Column] {
        self.columns.get(..self.key_len).unwrap_or_default()
    }
}

impl Column {
    pub(super) fn read(&self, row: &Row, place: usize) -> Result<Value, StoreError> {
        Ok(match self.kind {
            Kind::Text => Value::Text(row.get(place)?),
            Kind::Int => Value::Int(row.get(place)?),
            Kind::Bytes => Value::Bytes(row.get(place)?),
            Kind::Bool => Value::Bool(row.get(place)?),
        })
    }
}

const fn text(name: &'static str) -> Column {
    column(name, Kind::Text)
}

const fn int(name: &'static str) -> Column {
    column(name, Kind::Int)
}

const fn bytes(name: &'static str) -> Column {
    column(name, Kind::Bytes)
}

const fn boolean(name: &'static str) -> Column {
    column(name, Kind::Bool)
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

/// All but `meta`, which says what a store was made for, and what the schema keeps of itself.
pub(super) const TABLES: [Table; 17] = [
    Table {
        name: "organizations",
        key_len: 1,
        columns: &[text("id"), text("name"), int("created_at"), int("epoch")],
    },
    Table {
        name: "users",
        key_len: 1,
        columns: &[
            text("id"),
            text("organization"),
            text("email"),
            text("password_hash"),
            text("role"),
            text("clusters"),
            int("created_at"),
            int("disabled_at"),
            int("epoch"),
        ],
    },
    Table {
        name: "roles",
        key_len: 2,
        columns: &[
            text("organization"),
            text("name"),
            text("permissions"),
            int("created_at"),
            int("epoch"),
        ],
    },
    Table {
        name: "clusters",
        key_len: 2,
        columns: &[
            text("organization"),
            text("id"),
            int("created_at"),
            int("deleted_at"),
            int("epoch"),
        ],
    },
    Table {
        name: "credentials",
        key_len: 1,
        columns: &[
            text("id"),
            text("organization"),
            text("kind"),
            text("name"),
            text("owner"),
            text("scopes"),
            text("allowed_clusters"),
            text("cluster"),
            bytes("hash"),
            text("prefix"),
            text("last_four"),
            int("created_at"),
            int("expires_at"),
            int("revoked_at"),
            int("epoch"),
            text("predecessor"),
            int("retires_at"),
            boolean("self_rotated"),
            int("used_at"),
        ],
    },
    Table {
        name: "sessions",
        key_len: 1,
        columns: &[
            int("rowid"),
            text("id"),
            text("\"user\""),
            int("auth_time"),
            boolean("mfa"),
            int("created_at"),
            int("expires_at"),
            int("revoked_at"),
            int("epoch"),
        ],
    },
    Table {
        name: "idempotency",
        key_len: 2,
        columns: &[
            text("actor"),
            text("key"),
            bytes("fingerprint"),
            text("subject"),
            int("created_at"),
        ],
    },
    Table {
        name: "invitations",
        key_len: 1,
        columns: &[text("\"user\""), bytes("hash"), int("expires_at")],
    },
    Table {
        name: "factors",
        key_len: 1,
        columns: &[
            text("\"user\""),
            bytes("secret"),
            int("created_at"),
            int("confirmed_at"),
            int("last_step"),
            int("failures"),
            int("locked_until"),
        ],
    },
    Table {
        name: "recovery_codes",
        key_len: 2,
        columns: &[text("\"user\""), bytes("hash"), int("used_at")],
    },
    Table {
        name: "last_uses",
        key_len: 1,
        columns: &[text("credential"), int("used_at")],
    },
    Table {
        name: "policies",
        key_len: 1,
        columns: &[
            text("digest"),
            text("name"),
            text("version"),
            int("added_at"),
            int("activation"),
            int("activated_at"),
            text("activated_by"),
            text("source"),
            text("configured"),
            int("bytes"),
        ],
    },
    Table {
        name: "policy_components",
        key_len: 1,
        columns: &[text("digest"), bytes("component")],
    },
    Table {
        name: "shadow",
        key_len: 1,
        columns: &[
            int("one"),
            text("digest"),
            text("name"),
            text("version"),
            int("pushed_at"),
            text("pushed_by"),
            int("bytes"),
            bytes("component"),
        ],
    },
    Table {
        name: "audit_segments",
        key_len: 1,
        columns: &[
            int("id"),
            int("first_seq"),
            bytes("previous"),
            int("opened_ms"),
            int("last_seq"),
            bytes("hash"),
            int("closed_ms"),
            text("key_id"),
            bytes("signature"),
            int("pruned_ms"),
        ],
    },
    Table {
        name: "audit",
        key_len: 1,
        columns: &[
            int("seq"),
            int("segment"),
            int("at_ms"),
            text("kind"),
            text("organization"),
            text("\"user\""),
            text("credential"),
            text("action"),
            text("subject"),
            text("outcome"),
            text("reason"),
            text("line"),
            bytes("hash"),
        ],
    },
    Table {
        name: "audit_rollup",
        key_len: 5,
        columns: &[
            text("organization"),
            int("secs"),
            text("what"),
            int("start"),
            text("name"),
            int("count"),
        ],
    },
];
