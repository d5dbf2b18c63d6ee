//! Pages whose commands run: what a block `sh` prints is what the block `text` behind it shows, with `…` for anything.

use std::{fs, path::Path};

use regex::Regex;

use super::binary::{repository, scopegate, shell, text};

/// A fenced block: its info string and its text.
pub(crate) struct Block {
    pub(crate) info: String,
    pub(crate) text: String,
}

/// What somebody pastes, and what must come of it.
pub(super) struct Step<'p> {
    pub(super) pasted: &'p str,
    promised: &'p str,
}

pub(crate) fn blocks(page: &Path) -> Vec<Block> {
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

/// The steps of a page; one that shows nothing may print anything.
pub(super) fn steps(blocks: &[Block]) -> Vec<Step<'_>> {
    let shown = |index: usize| {
        let next = blocks.get(index + 1).filter(|next| next.info == "text");
        next.map_or("…", |next| next.text.as_str())
    };
    let pasted = blocks.iter().enumerate();
    pasted
        .filter(|(_, block)| block.info == "sh")
        .map(|(index, block)| Step {
            pasted: &block.text,
            promised: shown(index),
        })
        .collect()
}

/// Runs a page of the repository from its first step to its last, in this directory.
pub(crate) fn run(page: &str, directory: &Path, prelude: &str) {
    let blocks = blocks(&repository().join(page));
    let steps = steps(&blocks);
    assert!(!steps.is_empty(), "{page} has no steps");
    run_steps(&steps, directory, prelude);
}

/// Runs steps in one shell, for they go on from each other, with the executable on its path.
pub(super) fn run_steps(steps: &[Step<'_>], directory: &Path, prelude: &str) {
    const END: &str = "---- end of a step";
    let program = scopegate();
    let mut script = format!(
        "cd '{}'\nPATH='{}':$PATH\n{prelude}\n",
        directory.display(),
        program.parent().expect("a directory").display()
    );
    for step in steps {
        script.push_str(&format!("{}\necho; echo '{END}'\n", step.pasted));
    }
    let output = text(&shell(&script).stdout);
    let outputs: Vec<&str> = output.split(END).collect();
    for (step, printed) in steps.iter().zip(&outputs) {
        // Replies of an API end without a line end.
        let printed = printed.replace("}{", "}\n{");
        assert!(
            matches(step.promised, &printed),
            "```\n{}```\nprinted\n{printed}\nand not\n{}",
            step.pasted,
            step.promised
        );
    }
    assert_eq!(outputs.len(), steps.len() + 1, "{output}");
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
