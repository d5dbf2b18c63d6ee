//! The proxy that asks at `/-/check`.

use ipnet::IpNet;
use scopegate_policy::yaml::Fields;

use crate::check::Dialect;

/// In which words it asks; nothing where none does.
pub(super) fn check(fields: &Fields<'_>, trusted: &[IpNet]) -> Option<Dialect> {
    let check = fields.fields("check", "`check`", &["dialect"])?;
    if !fields.has("trusted_proxies") || trusted.is_empty() {
        fields
            .problem("check", "`check` answers nobody without `trusted_proxies`")
            .help("name the proxy's address there: `trusted_proxies: [10.0.0.1]`");
    }
    check.required("dialect")?;
    check.choice(
        "dialect",
        &[
            ("nginx", Dialect::Nginx),
            ("traefik", Dialect::Traefik),
            ("caddy", Dialect::Caddy),
            ("envoy", Dialect::Envoy),
        ],
    )
}
