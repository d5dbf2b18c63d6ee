//! The functions of a condition.

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::super::{Op, literal};
use super::fact::in_a_row;
use super::{Checker, Type, Wrong};
use crate::yaml::did_you_mean;

const FUNCTIONS: [&str; 13] = [
    "cidr",
    "contains",
    "containsIP",
    "duration",
    "endsWith",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "has",
    "ip",
    "size",
    "startsWith",
    "timestamp",
];

impl Checker<'_> {
    pub(super) fn function(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Type> {
        let name = call.func_name.as_str();
        match (name, call.target.as_deref(), call.args.as_slice()) {
            ("timestamp", None, [text]) => {
                let time = self.constant(name, text, literal::time)?;
                self.push(Op::Time(time), Type::Time)
            }
            ("duration", None, [text]) => {
                let span = self.constant(name, text, literal::span)?;
                self.push(Op::Span(span), Type::Span)
            }
            ("ip", None, [value]) => self.ip(value),
            ("containsIP", Some(network), [address]) => self.contains_ip(network, address),
            ("cidr", None, [_]) => {
                let place = self.places.whole(node);
                let help = "such as `cidr(\"10.0.0.0/8\").containsIP(request.address)`";
                self.report_help(place, "a network is only asked what it contains", help)
            }
            ("size", None, [text]) | ("size", Some(text), []) => {
                self.need(text, Type::Text, name)?;
                self.push(Op::Size, Type::Int)
            }
            ("startsWith", Some(text), [part]) => self.texts(name, text, part, Op::StartsWith),
            ("endsWith", Some(text), [part]) => self.texts(name, text, part, Op::EndsWith),
            ("contains", Some(text), [part]) => {
                if matches!(part.expr, Expr::Literal(_)) {
                    self.texts(name, text, part, Op::Contains)
                } else {
                    self.refuse(part, "what `contains` looks for is written out")
                }
            }
            ("getHours", Some(time), zone) => self.clock(node, name, time, zone, Op::Hours),
            ("getMinutes", Some(time), zone) => self.clock(node, name, time, zone, Op::Minutes),
            ("getDayOfWeek", Some(time), zone) => self.clock(node, name, time, zone, Op::DayOfWeek),
            _ if FUNCTIONS.contains(&name) => self.misused(node, name),
            _ => {
                let place = self.places.name(node, name);
                self.unsupported(place)
            }
        }
    }

    /// A text that is written out and stands for something else.
    fn constant<T>(
        &mut self,
        by: &str,
        node: &IdedExpr,
        read: impl Fn(&str) -> Result<T, literal::Wrong>,
    ) -> Option<T> {
        let Expr::Literal(LiteralValue::String(text)) = &node.expr else {
            let message = format!("what `{by}` takes is a text that is written out");
            return self.refuse(node, message);
        };
        self.read(self.places.token(node), text.inner(), read)
    }

    fn ip(&mut self, value: &IdedExpr) -> Option<Type> {
        if let Expr::Literal(_) = value.expr {
            let address = self.constant("ip", value, literal::address)?;
            return self.push(Op::Address(address), Type::Ip);
        }
        if self.value(value)? == Type::Address {
            return Some(Type::Ip);
        }
        let message = "`ip` takes `request.address` or a text that is written out";
        self.refuse(value, message)
    }

    fn contains_ip(&mut self, network: &IdedExpr, address: &IdedExpr) -> Option<Type> {
        let network = match &network.expr {
            Expr::Call(call) if call.func_name == "cidr" && call.target.is_none() => {
                match call.args.as_slice() {
                    [text] => self.constant("cidr", text, literal::network),
                    _ => self.misused(network, "cidr"),
                }
            }
            _ => self.refuse(network, "only `cidr(…)` has `containsIP`"),
        };
        if let Expr::Literal(LiteralValue::String(text)) = &address.expr {
            let place = self.places.token(address);
            let address = self.read(place, text.inner(), literal::address)?;
            self.code.push(Op::Address(address));
        } else {
            let found = self.value(address)?;
            if !matches!(found, Type::Address | Type::Ip) {
                let message = format!("`containsIP` takes an address, not {}", found.in_words());
                return self.refuse(address, message);
            }
        }
        let (network, bits) = network?;
        self.push(Op::Within { network, bits }, Type::Bool)
    }

    fn texts(&mut self, by: &str, text: &IdedExpr, part: &IdedExpr, op: Op) -> Option<Type> {
        let text = self.need(text, Type::Text, by);
        let part = self.need(part, Type::Text, by);
        text.and(part)?;
        self.push(op, Type::Bool)
    }

    /// A reading of the clock, in UTC or in the zone that is given.
    fn clock(
        &mut self,
        node: &IdedExpr,
        by: &str,
        time: &IdedExpr,
        zone: &[IdedExpr],
        op: fn(i32) -> Op,
    ) -> Option<Type> {
        let time = self.need(time, Type::Time, by);
        let east = match zone {
            [] => Some(0),
            [zone] => self.constant(by, zone, literal::zone),
            _ => self.misused(node, by),
        };
        time?;
        self.push(op(east?), Type::Int)
    }

    /// A function that is called in another way than it has.
    fn misused<T>(&mut self, node: &IdedExpr, name: &str) -> Option<T> {
        let such_as = match name {
            "timestamp" => "timestamp(\"2026-01-31T08:00:00Z\")",
            "duration" => "duration(\"15m\")",
            "ip" => "ip(request.address)",
            "cidr" | "containsIP" => "cidr(\"10.0.0.0/8\").containsIP(request.address)",
            "getHours" | "getMinutes" | "getDayOfWeek" => "request.time.getHours(\"+02:00\")",
            "has" => "has(caller.signed_in_age)",
            "size" => "size(request.path)",
            _ => "request.path.startsWith(\"/v1/\")",
        };
        let place = self.places.name(node, name);
        let message = format!("`{name}` is not called like this");
        self.report_help(place, message, format!("such as `{such_as}`"))
    }

    /// A function or operator that there is not.
    pub(super) fn unsupported<T>(&mut self, place: Range<usize>) -> Option<T> {
        let name = self.places.text(place.clone()).to_owned();
        let wrong = Wrong::new(place, format!("`{name}` is not supported in a condition"));
        let is_name = name.starts_with(|char: char| char.is_ascii_alphabetic());
        self.wrong.push(match did_you_mean(&name, FUNCTIONS) {
            Some(near) => wrong.help(format!("did you mean `{near}`?")),
            None if is_name => wrong.help(format!("functions are {}", in_a_row(&FUNCTIONS))),
            None => wrong,
        });
        None
    }
}
