//! The variables of a condition: the parts of `request` and `caller`.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use super::super::Fact;
use super::{Checker, Type};
use crate::document::header;
use crate::yaml::did_you_mean;

const REQUEST: [&str; 5] = ["method", "path", "time", "address", "headers"];
const CALLER: [&str; 5] = ["kind", "subject", "mfa", "credential_age", "signed_in_age"];

/// A fact that has few words.
pub(super) struct Peeked {
    pub(super) name: &'static str,
    pub(super) words: &'static [&'static str],
    /// What it can be, for a help.
    pub(super) note: &'static str,
}

/// The words that a node can be, where it is a fact that has few.
pub(super) fn peek(node: &IdedExpr) -> Option<Peeked> {
    let Expr::Select(SelectExpr {
        operand,
        field,
        test: false,
    }) = &node.expr
    else {
        return None;
    };
    match (variable(operand)?, field.as_str()) {
        ("request", "method") => Some(Peeked {
            name: "request.method",
            words: &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            note: "it may be GET, POST, PUT, PATCH, DELETE or OPTIONS",
        }),
        ("caller", "kind") => Some(Peeked {
            name: "caller.kind",
            words: &["session", "api-key", "agent", "anonymous"],
            note: "it may be `session`, `api-key`, `agent` or `anonymous`",
        }),
        _ => None,
    }
}

/// Whether a node is `request.headers`.
pub(super) fn is_headers(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Select(select)
        if select.field == "headers" && variable(&select.operand) == Some("request"))
}

fn variable(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

impl Checker<'_> {
    /// The fact that a node reads, whether it only asks if it is there, and what it gives.
    pub(super) fn fact(&mut self, node: &IdedExpr) -> Option<(Fact, bool, Type)> {
        match &node.expr {
            Expr::Ident(name) => {
                self.not_a_value(node, name);
                None
            }
            Expr::Select(select) if is_headers(&select.operand) => {
                let place = self.places.name(node, &select.field);
                let name = self.header(place, &select.field)?;
                let found = if select.test { Type::Bool } else { Type::Text };
                Some((Fact::Header(name), select.test, found))
            }
            Expr::Select(select) => {
                let (fact, found) = self.part(node, select)?;
                let found = if select.test { Type::Bool } else { found };
                Some((fact, select.test, found))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [map, index] = call.args.as_slice() else {
                    return self.refuse(node, "this is not an expression");
                };
                if !is_headers(map) {
                    return self.refuse(node, "only `request.headers` is read by name");
                }
                let Expr::Literal(LiteralValue::String(name)) = &index.expr else {
                    let place = self.places.whole(index);
                    let message = "only a header that is named here can be read";
                    return self.report_help(
                        place,
                        message,
                        "such as `request.headers[\"x-env\"]`",
                    );
                };
                let place = self.places.token(index);
                let name = self.header(place, name.inner())?;
                Some((Fact::Header(name), false, Type::Text))
            }
            _ => self.refuse(node, "this is not an expression"),
        }
    }

    /// A part of `request` or `caller`.
    fn part(&mut self, node: &IdedExpr, select: &SelectExpr) -> Option<(Fact, Type)> {
        let Some(name) = variable(&select.operand) else {
            // What is wrong further inside is said there.
            if self.value(&select.operand).is_some() {
                let place = self.places.name(node, &select.field);
                let whole = self.places.whole(&select.operand);
                let message = format!("`{}` has no parts", self.places.text(whole));
                self.report(place, message);
            }
            return None;
        };
        let parts = match name {
            "request" => REQUEST,
            "caller" => CALLER,
            _ => {
                self.not_a_value(&select.operand, name);
                return None;
            }
        };
        Some(match (name, select.field.as_str()) {
            ("request", "method") => (Fact::Method, Type::Text),
            ("request", "path") => (Fact::Path, Type::Text),
            ("request", "time") => (Fact::Time, Type::Time),
            ("request", "address") => (Fact::Address, Type::Address),
            ("request", "headers") => {
                let place = self.places.whole(node);
                let help = "name a header: `request.headers[\"x-env\"]`";
                return self.report_help(place, "`request.headers` is not a value", help);
            }
            ("caller", "kind") => (Fact::Kind, Type::Text),
            ("caller", "subject") => (Fact::Subject, Type::Text),
            ("caller", "mfa") => (Fact::Mfa, Type::Bool),
            ("caller", "credential_age") => (Fact::CredentialAge, Type::Span),
            ("caller", "signed_in_age") => (Fact::SignedInAge, Type::Span),
            (_, field) => {
                let place = self.places.name(node, field);
                let help = match did_you_mean(field, parts) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", in_a_row(&parts)),
                };
                return self.report_help(place, format!("`{name}` has no `{field}`"), help);
            }
        })
    }

    /// A name that stands alone.
    fn not_a_value(&mut self, node: &IdedExpr, name: &str) {
        let place = self.places.token(node);
        let (message, help) = match name {
            "request" => (format!("`{name}` is not a value"), in_a_row(&REQUEST)),
            "caller" => (format!("`{name}` is not a value"), in_a_row(&CALLER)),
            _ => {
                let help = match did_you_mean(name, ["request", "caller"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "variables are `request` and `caller`".to_owned(),
                };
                self.report_help::<()>(place, format!("unknown variable `{name}`"), help);
                return;
            }
        };
        self.report_help::<()>(place, message, format!("it has {help}"));
    }

    /// The name of a header that a policy may read, in lower case.
    pub(super) fn header(&mut self, place: Range<usize>, name: &str) -> Option<String> {
        match header::check(name) {
            Ok(name) => Some(name),
            Err((message, help)) => self.report_help(place, message, help),
        }
    }
}

/// `` `a`, `b` and `c` ``.
pub(super) fn in_a_row(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
