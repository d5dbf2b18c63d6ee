//! The documents that come with the gate: its own, and one for each product.

/// A built-in document's text, by its name.
pub fn builtin(name: &str) -> Option<&'static str> {
    BUILTIN
        .iter()
        .find(|(builtin, _)| *builtin == name)
        .map(|(_, text)| *text)
}

/// The names of the built-in documents; the gate's own is the first.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

const BUILTIN: [(&str, &str); 5] = [
    ("scopegate", include_str!("../documents/scopegate.yaml")),
    ("k8cost", include_str!("../documents/k8cost.yaml")),
    ("kubewatch", include_str!("../documents/kubewatch.yaml")),
    ("kubeadapt", include_str!("../documents/kubeadapt.yaml")),
    ("kubevision", include_str!("../documents/kubevision.yaml")),
];

#[cfg(test)]
mod tests {
    use super::{builtin, names};
    use crate::document::compile;

    #[test]
    fn each_compiles_under_its_name() {
        for name in names() {
            let tables =
                compile(name, builtin(name).unwrap()).unwrap_or_else(|report| panic!("{report}"));
            assert_eq!(tables.description().name, name);
        }
        assert_eq!(builtin("other"), None);
    }

    #[test]
    fn kubeadapt_has_its_nine_scopes() {
        let tables = compile("kubeadapt", builtin("kubeadapt").unwrap()).unwrap();
        let scopes: Vec<&str> = tables
            .description()
            .permissions
            .iter()
            .filter(|p| p.scope)
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(
            scopes,
            [
                "organization:read",
                "clusters:read",
                "namespaces:read",
                "workloads:read",
                "nodes:read",
                "recommendations:read",
                "teams:read",
                "departments:read",
                "cost_explorer:read",
            ]
        );
    }
}
