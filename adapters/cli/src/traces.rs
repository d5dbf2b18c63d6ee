//! Traces: the spans of requests, exported in OTLP over HTTP (protobuf).
//!
//! Spans wait in a bounded queue and are posted in batches by a thread of their own; a collector that is away costs spans,
//! never a request. How large the queue is and how often it is emptied is said by OpenTelemetry's own variables
//! (`OTEL_BSP_*`), and so are headers for the collector (`OTEL_EXPORTER_OTLP_HEADERS`), which may be secret.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use scopegate_host::{keyring, span};
use scopegate_server::config::TracesConfig;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// For one batch to be taken.
const EXPORT_TIME: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// For what is left at the end.
const LAST_EXPORT_TIME: Duration = Duration::from_secs(5);

/// What exports spans, until it is shut down.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// To be started on the runtime that its requests are made on.
    pub(crate) fn start(config: TracesConfig) -> Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(&config)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.endpoint.to_string())
            .build()
            .context("spans cannot be exported")?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(config.service)
            .with_attribute(version)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter);
        let provider = match config.ratio {
            // A trusted caller's decision stands; that is what keeps traces whole.
            Some(ratio) => provider.with_sampler(Sampler::ParentBased(Box::new(
                Sampler::TraceIdRatioBased(ratio),
            ))),
            None => provider,
        };
        Ok(Self(provider.build()))
    }

    /// What takes the spans of requests, and nothing else that programs around us trace: their fields may be anything.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("scopegate"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|of| of.is_span() && of.target() == span::TARGET))
    }

    /// Exports what is left.
    pub(crate) async fn shutdown(self) {
        let export = move || self.0.shutdown_with_timeout(LAST_EXPORT_TIME);
        match tokio::task::spawn_blocking(export).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(error) => tracing::warn!(%error, "the last spans were not exported"),
        }
    }
}

/// Where spans are posted to. The exporter's thread has no runtime, so the requests are made on the server's.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    fn new(config: &TracesConfig) -> Result<Self> {
        keyring::install_cryptography();
        let mut client = reqwest::Client::builder()
            .timeout(EXPORT_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(path) = &config.ca {
            let unusable = || format!("cannot use `{}`", path.display());
            let pem = fs::read(path).with_context(unusable)?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).with_context(unusable)?;
            anyhow::ensure!(
                !roots.is_empty(),
                "there is no certificate in `{}`",
                path.display()
            );
            client = client.tls_certs_only(roots);
        }
        Ok(Self {
            client: client.build().context("TLS cannot be set up")?,
            runtime: Handle::current(),
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let post = async move {
            let request = reqwest::Request::try_from(request)?;
            let mut reply = client.execute(request).await?;
            let mut answer = http::Response::new(Bytes::new());
            *answer.status_mut() = reply.status();
            *answer.headers_mut() = std::mem::take(reply.headers_mut());
            // It says there how many spans it did not take.
            let mut said = Vec::new();
            while let Some(part) = reply.chunk().await?
                && said.len() + part.len() <= ANSWER_BYTES_MAX
            {
                said.extend_from_slice(&part);
            }
            *answer.body_mut() = said.into();
            Ok::<_, reqwest::Error>(answer)
        };
        Ok(self.runtime.spawn(post).await??)
    }
}
