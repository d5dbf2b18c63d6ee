//! axe-core, which finds what people with disabilities could not use.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::json;

use super::{Browser, plain, target};

/// The version whose rules these are.
const AXE: &str = "axe-core@4.14.1";

impl Browser {
    /// What axe-core finds wrong with the page, in light and in dark: the rule, and where.
    pub async fn axe(&self) -> Vec<String> {
        self.script(source(), Vec::new()).await;
        let mut found = Vec::new();
        // Nothing but colours differs in the dark.
        for (dark, rules) in [(false, json!(null)), (true, json!(["color-contrast"]))] {
            self.prefer_dark(dark).await;
            let run = "
                const [dark, rules, done] = arguments;
                const told = (rule) => rule.nodes.map((node) =>
                  `${rule.id}${dark ? ' in the dark' : ''}: ${node.html}\\n  ${node.failureSummary}`);
                const options = { resultTypes: ['violations'], ...(rules ? { runOnly: rules } : {}) };
                axe.run(document, options).then(
                  (found) => done(found.violations.flatMap(told)),
                  (error) => done([String(error)]))";
            let run = self
                .session
                .client
                .execute_async(run, vec![json!(dark), rules]);
            let violations = run
                .await
                .unwrap_or_else(|error| panic!("axe-core: {error}"));
            found.extend(violations.as_array().expect("a list").iter().map(plain));
        }
        self.prefer_dark(self.screen.dark).await;
        found
    }
}

/// The script, installed where a later run finds it.
fn source() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let script = installed(&target().join("axe")).join("node_modules/axe-core/axe.min.js");
        fs::read_to_string(script).expect("axe-core's script")
    })
}

fn installed(place: &Path) -> PathBuf {
    let stamp = place.join("installed.txt");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(AXE) {
        fs::create_dir_all(place).expect("a directory");
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-package-lock",
            "--no-save",
            "--no-audit",
            "--no-fund",
            AXE,
        ]);
        let needed = "it needs `apt-get install nodejs npm`, and the npm registry";
        let output = npm.arg("--prefix").arg(place).output();
        let output = output.unwrap_or_else(|error| panic!("npm: {error}; {needed}"));
        assert!(
            output.status.success(),
            "{npm:?} failed; {needed}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::write(stamp, AXE).expect("written");
    }
    place.to_owned()
}
