//! The README and the pages in docs/: what they show is what happens.

use std::{fs, path::Path};

use regex::Regex;
use scopegate_host::trial::{self, Verdict, Ways};
use scopegate_policy::document;

use super::{
    binary::{Running, repository, scopegate, shell, text},
    own_gate::{gate, serve},
};

/// A fenced block: its info string and its text.
pub(super) struct Block {
    pub(super) info: String,
    pub(super) text: String,
}

pub(super) fn blocks(page: &Path) -> Vec<Block> {
    let content = fs::read_to_string(page).expect("a page");
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in content.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                open = Some(Block {
                    info: info.to_owned(),
                    text: String::new(),
                })
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// `…` stands for anything, line ends included.
pub(super) fn matches(promised: &str, printed: &str) -> bool {
    let pattern: Vec<String> = promised
        .trim()
        .split('…')
        .map(|part| regex::escape(part.trim_matches('\n')))
        .collect();
    let pattern = Regex::new(&format!("(?s)^{}$", pattern.join(".*"))).expect("a pattern");
    pattern.is_match(printed.replace('\r', "").trim())
}

#[test]
fn the_readme_tour_prints_what_it_promises() {
    let mut demo = Running::start(Path::new("."), &["demo", "--listen", "127.0.0.1:0"]);
    let printed = demo.lines_until("Ctrl-C");
    let exports: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("export "))
        .collect();
    assert!(exports.len() >= 5, "{printed}");
    let readme = blocks(&repository().join("README.md"));
    let mut run = 0;
    for pair in readme
        .windows(2)
        .filter(|pair| pair[0].info == "sh" && pair[1].info == "text")
    {
        let output = shell(&format!("{}\n{}", exports.join("\n"), pair[0].text));
        let printed = text(&output.stdout);
        assert!(
            matches(&pair[1].text, &printed),
            "```\n{}```\nprinted\n{printed}\nand not\n{}",
            pair[0].text,
            pair[1].text
        );
        run += 1;
    }
    assert!(run >= 6, "only {run} steps were found");
    demo.interrupt();
}

/// The page's commands go on from each other, so they run in one shell.
#[test]
fn the_management_api_does_what_its_page_shows() {
    const END: &str = "---- end of a step";
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
    let page = blocks(&repository().join("docs/management-api.md"));
    let steps: Vec<&[Block]> = page
        .windows(2)
        .filter(|pair| pair[0].info == "sh" && pair[1].info == "text")
        .collect();
    assert!(steps.len() >= 6, "only {} steps", steps.len());
    for step in &steps {
        script.push(format!("{}\necho; echo '{END}'", step[0].text));
    }
    let output = text(&shell(&script.join("\n")).stdout);
    let outputs: Vec<&str> = output.split(END).collect();
    for (step, printed) in steps.iter().zip(&outputs) {
        // Replies end without a line end.
        let printed = printed.replace("}{", "}\n{");
        assert!(
            matches(&step[1].text, &printed),
            "```\n{}```\nprinted\n{printed}\nand not\n{}",
            step[0].text,
            step[1].text
        );
    }
    assert_eq!(outputs.len(), steps.len() + 1);
    demo.interrupt();
}

#[test]
fn policies_are_shipped_as_their_page_shows() {
    let gate = gate("scopegate");
    let (_server, _) = serve(gate.path());
    let program = scopegate();
    let path = program.parent().expect("a directory");
    let page = blocks(&repository().join("docs/policy-shipping.md"));
    let steps: Vec<&[Block]> = page
        .windows(2)
        .filter(|pair| pair[0].info == "sh" && pair[1].info == "text")
        .collect();
    assert!(steps.len() >= 4, "only {} steps", steps.len());
    for step in steps {
        let printed = text(
            &shell(&format!(
                "cd '{}'\nPATH='{}':$PATH\n{}",
                gate.path().display(),
                path.display(),
                step[0].text
            ))
            .stdout,
        );
        assert!(
            matches(&step[1].text, &printed),
            "```\n{}```\nprinted\n{printed}\nand not\n{}",
            step[0].text,
            step[1].text
        );
    }
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
    let bin = scopegate();
    let go_there = format!(
        "export PATH={}:$PATH; cd {}",
        bin.parent().expect("a directory").display(),
        directory.path().display()
    );
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
            "sh" => {
                let printed = text(&shell(&format!("{go_there}\n{block}")).stdout);
                assert!(
                    matches(&next.text, &printed),
                    "```\n{block}```\nprinted\n{printed}\nand not\n{}",
                    next.text
                );
                run += 1;
            }
            _ => {}
        }
    }
    assert!(run >= 6, "only {run} examples were found");
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
