//! `traces`: where spans go, in OTLP over HTTP. What is not said is taken from the variables that OpenTelemetry names.

use std::path::PathBuf;

use http::Uri;
use scopegate_policy::yaml::{Fields, Span, Text, Value};

use super::read::Context;

/// Where spans go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// Where they are posted to: all of it, `/v1/traces` included.
    pub endpoint: Uri,
    /// Who signed the certificate there, in PEM; without it, the web's roots.
    pub ca: Option<PathBuf>,
    /// How much of what no trusted caller has decided about is kept, from 0 to 1; without it, as the variables say.
    pub ratio: Option<f64>,
    /// What the gate is called in traces.
    pub service: String,
}

/// Where spans go at a collector (OTLP 1.0, "OTLP/HTTP request").
const PATH: &str = "/v1/traces";

pub(super) fn traces(context: &Context<'_>, fields: &Fields<'_>) -> Option<TracesConfig> {
    let node = fields.get("traces")?;
    if !matches!(node.value, Value::Map(_)) {
        let url = context.reader.text(node, "`traces`")?;
        return Some(TracesConfig {
            endpoint: collector(context, url)?,
            ca: None,
            ratio: None,
            service: service(context, None),
        });
    }
    let traces = fields.fields(
        "traces",
        "`traces`",
        &["endpoint", "ca", "ratio", "service"],
    )?;
    let endpoint = match traces.text("endpoint") {
        Some(url) => collector(context, url),
        None => collector_of_environment(context, traces.span()),
    };
    let ca = traces.text("ca").map(|text| context.file(text));
    let ratio = ratio(&traces);
    Some(TracesConfig {
        endpoint: endpoint?,
        ca,
        ratio,
        service: service(context, traces.text("service")),
    })
}

/// A collector's URL, to which the path of traces is added.
fn collector(context: &Context<'_>, url: Text<'_>) -> Option<Uri> {
    let base = context.server_url(url)?.to_string();
    format!("{}{PATH}", base.trim_end_matches('/')).parse().ok()
}

/// A variable for traces alone has the whole URL, the one for every signal what is put before its path.
fn collector_of_environment(context: &Context<'_>, span: Span) -> Option<Uri> {
    let variable = |name: &str| (context.environment)(name).filter(|value| !value.is_empty());
    if let Some(url) = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        return context.server_url(Text { span, text: &url });
    }
    match variable("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Some(url) => collector(context, Text { span, text: &url }),
        None => {
            context
                .reader
                .problem(span, "`traces` does not say where they go")
                .help(
                    "write `endpoint: http://collector:4318`, or set `OTEL_EXPORTER_OTLP_ENDPOINT`",
                );
            None
        }
    }
}

fn ratio(traces: &Fields<'_>) -> Option<f64> {
    let node = traces.get("ratio")?;
    let ratio = match &node.value {
        Value::Scalar(scalar) => scalar.text.parse().ok(),
        Value::List(_) | Value::Map(_) => None,
    };
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    if ratio.is_none() {
        traces
            .problem("ratio", "`ratio` must be a number from 0 to 1")
            .help("`0.1` keeps a tenth");
    }
    ratio
}

fn service(context: &Context<'_>, said: Option<Text<'_>>) -> String {
    let variable = || (context.environment)("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    said.map(|text| text.to_string())
        .or_else(variable)
        .unwrap_or_else(|| "scopegate".to_owned())
}
