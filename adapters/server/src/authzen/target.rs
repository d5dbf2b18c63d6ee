//! What a resource of the type `route` is of a request: its path and query, as the client would send them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use scopegate_host::Cause;
use serde_json::Value;

use super::read::{Thing, invalid, members};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path and a query without `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) query: String,
}

/// The target that a route names: `properties.path`, or its `id`, which is a path or a template whose parameters are in
/// `properties.parameters`; and `properties.query`.
pub(super) fn target(route: &Thing<'_>) -> Result<Target, Cause> {
    let path = match (route.property("path"), route.property("parameters")) {
        (Some(Value::String(path)), _) => path.clone(),
        (Some(_), _) => return Err(invalid("`resource.properties.path` is not a text")),
        (None, None) => whole(route.id)?,
        (None, Some(parameters)) => filled(route.id, parameters)?,
    };
    Ok(Target {
        path,
        query: match route.property("query") {
            None => String::new(),
            Some(Value::String(query)) => query.strip_prefix('?').unwrap_or(query).to_owned(),
            Some(query) => written(query)?,
        },
    })
}

/// A path as it stands. One that is a template says nothing of what would be asked for.
fn whole(id: &str) -> Result<String, Cause> {
    if id.split('/').any(is_parameter) {
        return Err(invalid(
            "`resource.id` is a template: say the path in `resource.properties.path` or its parameters in `resource.properties.parameters`",
        ));
    }
    Ok(id.to_owned())
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

/// A template with its parameters; a `/**` at its end is nothing.
fn filled(id: &str, parameters: &Value) -> Result<String, Cause> {
    let parameters = members("resource.properties.parameters", parameters)?;
    let id = id.strip_suffix("/**").unwrap_or(id);
    let mut segments = Vec::new();
    for segment in id.split('/') {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        segments.push(match name {
            None => segment.to_owned(),
            Some(name) => {
                let value = parameters.get(name).and_then(Value::as_str);
                // Nothing between two slashes, and dots, would be another path.
                let value = value.filter(|value| !matches!(*value, "" | "." | ".."));
                let value = value.ok_or_else(|| {
                    invalid("`resource.properties.parameters` lacks one of the template's, or has what cannot be one")
                })?;
                utf8_percent_encode(value, RESERVED).to_string()
            }
        });
    }
    let path = segments.join("/");
    Ok(if path.is_empty() {
        "/".to_owned()
    } else {
        path
    })
}

/// A query of names and values.
fn written(query: &Value) -> Result<String, Cause> {
    let wrong = || {
        invalid(
            "`resource.properties.query` is not a text, nor an object of texts and lists of texts",
        )
    };
    let mut pairs: Vec<String> = Vec::new();
    for (name, value) in query.as_object().ok_or_else(wrong)? {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let value = value.as_str().ok_or_else(wrong)?;
            pairs.push(format!(
                "{}={}",
                utf8_percent_encode(name, RESERVED),
                utf8_percent_encode(value, RESERVED)
            ));
        }
    }
    Ok(pairs.join("&"))
}
