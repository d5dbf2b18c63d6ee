//! Typing an expression and lowering it: what is outside the subset, or mixes kinds of values, is named with its place.

mod call;
mod fact;

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::literal;
use super::parse::{self, Parsed, Places};
use super::{Condition, Fact, Op};
use fact::Peeked;

/// Something wrong in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Bytes of the condition's text.
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Bool,
    Int,
    Text,
    Time,
    Span,
    /// An address as text, which only `request.address` is.
    Address,
    /// An address that `ip` made.
    Ip,
}

impl Type {
    /// In words for a message.
    fn in_words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a number",
            Self::Text => "text",
            Self::Time => "a time",
            Self::Span => "a duration",
            Self::Address => "an address as text",
            Self::Ip => "an address",
        }
    }
}

/// Compiles a condition.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn compile(text: &str) -> Result<Condition, Vec<Wrong>> {
    let Parsed { root, places } = parse::parse(text)?;
    let mut checker = Checker {
        places,
        code: Vec::new(),
        wrong: Vec::new(),
    };
    let found = checker.value(&root);
    if let Some(found) = found.filter(|found| *found != Type::Bool) {
        let message = format!(
            "a condition is true or false, and this is {}",
            found.in_words()
        );
        checker.report(checker.places.whole(&root), message);
    }
    if !checker.wrong.is_empty() {
        return Err(checker.wrong);
    }
    Condition::new(text, checker.code).map_err(|why| vec![Wrong::new(0..text.len(), why)])
}

struct Checker<'t> {
    places: Places<'t>,
    code: Vec<Op>,
    wrong: Vec<Wrong>,
}

impl Checker<'_> {
    /// Lowers a value. Nothing when something is wrong with it, which was reported then.
    fn value(&mut self, node: &IdedExpr) -> Option<Type> {
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Call(call) => self.operator(node, call),
            Expr::Ident(_) | Expr::Select(_) => {
                let (fact, is_test, found) = self.fact(node)?;
                self.code.push(if is_test {
                    Op::Has(fact)
                } else {
                    Op::Fact(fact)
                });
                Some(found)
            }
            Expr::List(_) => self.refuse(node, "a list stands only behind `in`"),
            Expr::Map(_) | Expr::Struct(_) => {
                self.refuse(node, "maps and messages are not supported in a condition")
            }
            Expr::Comprehension(_) => {
                let bracket = self.places.token(node).start;
                let before = self.places.text(0..bracket);
                let start = before
                    .rfind(|char: char| !char.is_ascii_alphanumeric() && char != '_')
                    .map_or(0, |at| at + 1);
                self.unsupported(start..bracket)
            }
            Expr::Unspecified => self.refuse(node, "this is not an expression"),
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Type> {
        let (op, found) = match literal {
            LiteralValue::Boolean(value) => (Op::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => (Op::Int(*value.inner()), Type::Int),
            LiteralValue::String(value) => (Op::Text(value.inner().to_owned()), Type::Text),
            LiteralValue::Bytes(_)
            | LiteralValue::Double(_)
            | LiteralValue::Null
            | LiteralValue::UInt(_) => {
                let place = self.places.token(node);
                let message = format!(
                    "`{}` is not supported in a condition",
                    self.places.text(place.clone())
                );
                let help = "literals are `true`, `false`, whole numbers and text";
                return self.report_help(place, message, help);
            }
        };
        self.code.push(op);
        Some(found)
    }

    fn operator(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Type> {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND, [first, second]) => {
                self.both(first, second, Type::Bool, "&&", Op::And)
            }
            (operators::LOGICAL_OR, [first, second]) => {
                self.both(first, second, Type::Bool, "||", Op::Or)
            }
            (operators::LOGICAL_NOT, [value]) => {
                self.need(value, Type::Bool, "!")?;
                self.push(Op::Not, Type::Bool)
            }
            (operators::NEGATE, [value]) => {
                self.need(value, Type::Int, "-")?;
                self.push(Op::Negate, Type::Int)
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.choice(node, condition, then, otherwise)
            }
            (operators::EQUALS, [first, second]) => self.equality(node, first, second),
            (operators::NOT_EQUALS, [first, second]) => {
                self.equality(node, first, second)?;
                self.push(Op::Not, Type::Bool)
            }
            (operators::LESS, [first, second]) => self.order(node, first, second, &[Op::Less]),
            (operators::LESS_EQUALS, [first, second]) => {
                self.order(node, first, second, &[Op::LessOrEqual])
            }
            (operators::GREATER, [first, second]) => {
                self.order(node, first, second, &[Op::LessOrEqual, Op::Not])
            }
            (operators::GREATER_EQUALS, [first, second]) => {
                self.order(node, first, second, &[Op::Less, Op::Not])
            }
            (operators::ADD, [first, second]) => self.sum(node, first, second, Op::Add),
            (operators::SUBSTRACT, [first, second]) => self.sum(node, first, second, Op::Subtract),
            (operators::MULTIPLY, [first, second]) => {
                self.both(first, second, Type::Int, "*", Op::Multiply)?;
                Some(Type::Int)
            }
            (operators::IN, [value, list]) => self.membership(node, value, list),
            (operators::INDEX, _) => {
                let (fact, _, found) = self.fact(node)?;
                self.push(Op::Fact(fact), found)
            }
            _ if name.starts_with(|char: char| char.is_ascii_alphabetic()) => {
                self.function(node, call)
            }
            _ => {
                let place = self.places.token(node);
                self.unsupported(place)
            }
        }
    }

    /// Two values of one type.
    fn both(
        &mut self,
        first: &IdedExpr,
        second: &IdedExpr,
        wanted: Type,
        by: &str,
        op: Op,
    ) -> Option<Type> {
        let (first, second) = (self.need(first, wanted, by), self.need(second, wanted, by));
        first.and(second)?;
        self.push(op, wanted)
    }

    /// A value of this type.
    fn need(&mut self, node: &IdedExpr, wanted: Type, by: &str) -> Option<()> {
        let found = self.value(node)?;
        if found == wanted {
            return Some(());
        }
        let place = self.places.whole(node);
        let message = format!(
            "`{}` is {}, and `{by}` takes {}",
            self.places.text(place.clone()),
            found.in_words(),
            wanted.in_words()
        );
        if (found, wanted) == (Type::Address, Type::Text) {
            let help = "ask `cidr(\"10.0.0.0/8\").containsIP(request.address)`, or compare it by `==` or `in`";
            return self.report_help(place, message, help);
        }
        self.report(place, message);
        None
    }

    fn choice(
        &mut self,
        node: &IdedExpr,
        condition: &IdedExpr,
        then: &IdedExpr,
        otherwise: &IdedExpr,
    ) -> Option<Type> {
        let condition = self.need(condition, Type::Bool, "?");
        let found = (self.value(then), self.value(otherwise));
        condition?;
        match found {
            (Some(then), Some(otherwise)) if then == otherwise => self.push(Op::Choose, then),
            (Some(then), Some(otherwise)) => {
                let message = format!(
                    "both sides of `:` are of one kind, and these are {} and {}",
                    then.in_words(),
                    otherwise.in_words()
                );
                self.report(self.places.token(node), message);
                None
            }
            _ => None,
        }
    }

    fn equality(&mut self, node: &IdedExpr, first: &IdedExpr, second: &IdedExpr) -> Option<Type> {
        // What a literal may be is decided by what it is compared with; and which side comes first does not matter.
        let (value, candidate) = match first.expr {
            Expr::Literal(_) => (second, first),
            _ => (first, second),
        };
        let found = self.value(value);
        let candidate = self.candidate(value, found, candidate);
        self.same(node, found?, candidate?)?;
        self.push(Op::Equal, Type::Bool)
    }

    /// Something that a value is compared with.
    fn candidate(
        &mut self,
        value: &IdedExpr,
        found: Option<Type>,
        node: &IdedExpr,
    ) -> Option<Type> {
        let Expr::Literal(LiteralValue::String(text)) = &node.expr else {
            return self.value(node);
        };
        let place = self.places.token(node);
        if found == Some(Type::Address) {
            let address = self.read(place, text.inner(), literal::address)?;
            return self.push(Op::Address(address), Type::Address);
        }
        if let Some(Peeked { name, words, note }) = fact::peek(value)
            && !words.contains(&text.inner())
        {
            let text = text.inner();
            let near = crate::yaml::did_you_mean(text, words.iter().copied());
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if text == "HEAD" => "HEAD is decided as GET".to_owned(),
                None => note.to_owned(),
            };
            return self.report_help(place, format!("`{name}` is never `{text}`"), help);
        }
        self.value(node)
    }

    /// Whether two types can be compared.
    fn same(&mut self, node: &IdedExpr, first: Type, second: Type) -> Option<()> {
        if first == second {
            return Some(());
        }
        let place = self.places.token(node);
        let help = match (first, second) {
            (Type::Time, _) | (_, Type::Time) => {
                "a time is written `timestamp(\"2026-01-31T08:00:00Z\")`; its hour is `getHours()`"
            }
            (Type::Span, _) | (_, Type::Span) => "a duration is written `duration(\"24h\")`",
            (Type::Int, Type::Text) | (Type::Text, Type::Int) => {
                "text stands in quotes, and numbers do not"
            }
            _ => "compare it with a value of its own kind",
        };
        let (first, second) = (first.in_words(), second.in_words());
        self.report_help(
            place,
            format!("{first} is never compared with {second}"),
            help,
        )
    }

    fn order(
        &mut self,
        node: &IdedExpr,
        first: &IdedExpr,
        second: &IdedExpr,
        ops: &[Op],
    ) -> Option<Type> {
        let (found, other) = (self.value(first), self.value(second));
        let (found, other) = (found?, other?);
        self.same(node, found, other)?;
        if !matches!(found, Type::Int | Type::Text | Type::Time | Type::Span) {
            let message = format!("{} is neither more nor less than another", found.in_words());
            self.report(self.places.token(node), message);
            return None;
        }
        self.code.extend_from_slice(ops);
        Some(Type::Bool)
    }

    fn sum(
        &mut self,
        node: &IdedExpr,
        first: &IdedExpr,
        second: &IdedExpr,
        op: Op,
    ) -> Option<Type> {
        let (found, other) = (self.value(first), self.value(second));
        let (found, other) = (found?, other?);
        let result = match (found, &op, other) {
            (Type::Int, _, Type::Int) => Type::Int,
            (Type::Span, _, Type::Span) | (Type::Time, Op::Subtract, Type::Time) => Type::Span,
            (Type::Time, _, Type::Span) | (Type::Span, Op::Add, Type::Time) => Type::Time,
            _ => {
                let place = self.places.token(node);
                let sign = self.places.text(place.clone()).to_owned();
                let (found, other) = (found.in_words(), other.in_words());
                let message = format!("`{sign}` does not join {found} and {other}");
                let help = "it is for numbers, times and durations";
                return self.report_help(place, message, help);
            }
        };
        self.push(op, result)
    }

    fn membership(&mut self, node: &IdedExpr, value: &IdedExpr, list: &IdedExpr) -> Option<Type> {
        if fact::is_headers(list) {
            let Expr::Literal(LiteralValue::String(name)) = &value.expr else {
                let place = self.places.whole(value);
                let message = "only a header that is named here can be read";
                let help = "such as `\"x-env\" in request.headers`";
                return self.report_help(place, message, help);
            };
            let place = self.places.token(value);
            let name = self.header(place, name.inner())?;
            return self.push(Op::Has(Fact::Header(name)), Type::Bool);
        }
        let Expr::List(list) = &list.expr else {
            let place = self.places.whole(list);
            let help = "such as `caller.kind in [\"session\", \"agent\"]`";
            return self.report_help(place, "a list is written out behind `in`", help);
        };
        let found = self.value(value);
        self.code.push(Op::Bool(false));
        let mut is_fine = found.is_some();
        for candidate in &list.elements {
            let other = self.candidate(value, found, candidate);
            let same = match (found, other) {
                (Some(found), Some(other)) => self.same(node, found, other),
                _ => None,
            };
            is_fine &= same.is_some();
            self.code.push(Op::Match);
        }
        if is_fine {
            self.push(Op::Found, Type::Bool)
        } else {
            None
        }
    }

    fn push(&mut self, op: Op, found: Type) -> Option<Type> {
        self.code.push(op);
        Some(found)
    }

    /// Reads a text that stands for something else.
    fn read<T>(
        &mut self,
        place: Range<usize>,
        text: &str,
        read: impl Fn(&str) -> Result<T, literal::Wrong>,
    ) -> Option<T> {
        match read(text) {
            Ok(value) => Some(value),
            Err((what, help)) => {
                let wrong = Wrong::new(place, format!("`{text}` {what}"));
                self.wrong.push(Wrong { help, ..wrong });
                None
            }
        }
    }

    fn report(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.wrong.push(Wrong::new(at, message));
    }

    fn report_help<T>(
        &mut self,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.wrong.push(Wrong::new(at, message).help(help));
        None
    }

    fn refuse<T>(&mut self, node: &IdedExpr, message: impl Into<String>) -> Option<T> {
        self.report(self.places.whole(node), message);
        None
    }
}
