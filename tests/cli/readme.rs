//! The README and the pages in docs/: what they show is what happens.

use std::{fs, path::Path};

use regex::Regex;
use scopegate_host::trial::{self, Verdict, Ways};
use scopegate_policy::document;

use super::{
    binary::{Running, repository},
    own_gate::{self, gate, serve},
    pages::{self, Block, blocks},
};

#[test]
fn the_readme_tour_prints_what_it_promises() {
    let mut demo = Running::start(Path::new("."), &["demo", "--listen", "127.0.0.1:0"]);
    let printed = demo.lines_until("Ctrl-C");
    let exports: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("export "))
        .collect();
    assert!(exports.len() >= 5, "{printed}");
    pages::run("README.md", Path::new("."), &exports.join("\n"));
    demo.interrupt();
}

#[test]
fn the_management_api_does_what_its_page_shows() {
    in_a_demo("docs/management-api.md");
}

#[test]
fn the_authzen_api_does_what_its_page_shows() {
    in_a_demo("docs/authzen.md");
}

/// Runs a page for whose steps there are a demo and its administrator's address and password.
fn in_a_demo(page: &str) {
    let mut demo = Running::start(Path::new("."), &["demo", "--listen", "127.0.0.1:0"]);
    let printed = demo.lines_until("Ctrl-C");
    let exports = printed.lines().filter(|line| line.starts_with("export "));
    let mut script: Vec<String> = exports.map(str::to_owned).collect();
    let admin = printed.lines().find_map(|line| {
        let mut words = line.strip_prefix("#   admin@")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    let (domain, password) = admin.expect("an administrator");
    script.push(format!("EMAIL='admin@{domain}' PASSWORD='{password}'"));
    pages::run(page, Path::new("."), &script.join("\n"));
    demo.interrupt();
}

#[test]
fn policies_are_shipped_as_their_page_shows() {
    let gate = gate("scopegate");
    let (_server, _) = serve(gate.path());
    pages::run("docs/policy-shipping.md", gate.path(), "");
}

/// The server is started where the page says so, on another port than the page's.
#[test]
fn a_policy_goes_from_nothing_to_serving_as_its_page_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    let blocks = blocks(&repository().join("docs/policy-walkthrough.md"));
    let place = blocks.iter().position(|block| block.info == "sh serve");
    let (before, after) = blocks.split_at(place.expect("where it is served"));
    pages::run_steps(&pages::steps(before), directory.path(), "exec 2>&1");
    let gate = directory.path().join("gate");
    own_gate::on_free_ports(&gate);
    let (_server, url) = serve(&gate);
    let on_its_port = |block: &Block| Block {
        info: block.info.clone(),
        text: block.text.replace("http://127.0.0.1:8080", &url),
    };
    let after: Vec<Block> = after.iter().map(on_its_port).collect();
    pages::run_steps(&pages::steps(&after), &gate, "exec 2>&1");
}

#[test]
fn policy_documents_in_the_pages_compile_or_fail_as_shown() {
    let mut compiled = 0;
    for entry in fs::read_dir(repository().join("docs"))
        .expect("docs/")
        .flatten()
    {
        let page = entry.path();
        let blocks = blocks(&page);
        for (index, block) in blocks.iter().enumerate() {
            let name = "policy.yaml";
            match (block.info.as_str(), document::compile(name, &block.text)) {
                ("yaml policy", Ok(_)) => compiled += 1,
                ("yaml policy", Err(report)) => panic!("{}: {report}", page.display()),
                ("yaml broken", Ok(_)) => panic!("{}: it is not broken", page.display()),
                ("yaml broken", Err(report)) => {
                    let shown = &blocks[index + 1].text;
                    assert_eq!(
                        report.to_string().trim(),
                        shown.trim(),
                        "{}",
                        page.display()
                    );
                    compiled += 1;
                }
                _ => {}
            }
        }
    }
    assert!(compiled >= 2, "only {compiled} documents were found");
}

/// Its policy and its tests are written down, its commands run beside them, and its broken test file says what is shown.
#[tokio::test]
async fn the_tests_of_policies_do_what_their_page_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, content: &str| {
        fs::write(directory.path().join(name), content).expect("writable");
    };
    let page = blocks(&repository().join("docs/policy-tests.md"));
    let mut run = 0;
    for pair in page.windows(2) {
        let [Block { info, text: block }, next] = pair else {
            continue;
        };
        let read = || {
            trial::read("policy.test.yaml", block, |wanted| {
                wanted.load("policy.test.yaml")
            })
        };
        match info.as_str() {
            "yaml policy" => write("policy.yaml", block),
            "yaml test" if block.contains("./policy.yaml") => write("policy.test.yaml", block),
            "yaml test" => {
                let file = read().unwrap_or_else(|report| panic!("{report}"));
                let ran = trial::run(&file, Ways::Native).await.expect("a document");
                for ran in ran {
                    assert_eq!(ran.verdict(), Verdict::Passed, "{}", ran.case);
                }
                run += 1;
            }
            "yaml broken test" => {
                let report = read().expect_err("it is broken").to_string();
                assert_eq!(report.trim(), next.text.trim());
                run += 1;
            }
            _ => {}
        }
    }
    assert!(run >= 2, "only {run} examples were found");
    pages::run("docs/policy-tests.md", directory.path(), "");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#\s]+)(?:#[^)]*)?\)").expect("a pattern");
    let root = repository();
    let docs = fs::read_dir(root.join("docs"))
        .expect("docs/")
        .flatten()
        .map(|entry| entry.path());
    for page in docs
        .chain([root.join("README.md")])
        .filter(|page| page.extension().is_some_and(|ending| ending == "md"))
    {
        let content = fs::read_to_string(&page).expect("a page");
        for target in link
            .captures_iter(&content)
            .map(|found| found[1].to_owned())
        {
            let leads = target.starts_with("http")
                || page.parent().expect("a directory").join(&target).exists();
            assert!(leads, "{} links to `{target}`", page.display());
        }
    }
}
