//! What the filters inside Envoy show.

use std::path::PathBuf;

use scopegate_policy::yaml::Fields;

use super::read::Context;

/// The file of their secret.
pub(super) fn filters(context: &Context<'_>, fields: &Fields<'_>) -> Option<PathBuf> {
    let filters = fields.fields("filters", "`filters`", &["secret"])?;
    let node = filters.required("secret")?;
    if !fields.has("trusted_proxies") {
        filters
            .problem(
                "secret",
                "no proxy is trusted, so no filter would be answered",
            )
            .help("name Envoy's addresses under `trusted_proxies`");
    }
    context.secret_file(node, "`secret`")
}
