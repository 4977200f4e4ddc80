//! The pages of the book that lead a reader through something, done as they say: files are written, commands
//! are run in order in an empty folder, and what they print is held against what the page shows.
//!
//! What stands behind a fence's language decides: `file=NAME` writes the file; a `console` block is run, after a copy of
//! `from=FOLDER` (of this repository) where it says so; one with `by=FILE` takes too long here and is what that
//! test does; a snippet with `from=FILE` must stand in that file. `…` in an expected line is any text, and alone any lines.
//!
//! The other pages tell what there is, and lead nobody: of them every command is held against the program, those about runs are
//! given on a run, and their Rust is compiled. Python and TypeScript are run and checked by their SDKs' own tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::cli::authors::{author, cargo};
use crate::cli::examples::{copy, example};
use crate::support::{Home, executable, repository};

/// A fenced block: the line that it begins at, its language, its attributes, its lines.
struct Block {
    line: usize,
    language: String,
    attributes: BTreeMap<String, String>,
    lines: Vec<String>,
}

/// A command of a `console` block, and what it is to print.
struct Command {
    line: String,
    prints: Vec<String>,
}

fn pages() -> PathBuf {
    repository().join("docs/book")
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(String, Block)> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            Some((fence, _)) if line.trim() == fence.as_str() => {
                found.extend(open.take().map(|(_, block)| block));
            }
            Some((_, block)) => block.lines.push(line.to_owned()),
            None if line.starts_with("```") => {
                let info = line.trim_start_matches('`');
                let fence = "`".repeat(line.len() - info.len());
                let mut words = info.split_whitespace();
                let language = words.next().unwrap_or_default().to_owned();
                let attributes = words
                    .filter_map(|word| word.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                let lines = Vec::new();
                open = Some((
                    fence,
                    Block {
                        line: at + 1,
                        language,
                        attributes,
                        lines,
                    },
                ));
            }
            None => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    found
}

fn commands(block: &Block) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in &block.lines {
        if let Some(line) = line.strip_prefix("$ ") {
            commands.push(Command {
                line: line.to_owned(),
                prints: Vec::new(),
            });
        } else if let Some(last) = commands.last_mut() {
            last.prints.push(line.clone());
        } else {
            panic!("line {}: a console block begins with `$ `", block.line);
        }
    }
    for command in &mut commands {
        while command
            .prints
            .last()
            .is_some_and(|line| line.trim().is_empty())
        {
            command.prints.pop();
        }
    }
    commands
}

/// Whether a printed line is the expected one, in which `…` is any text.
fn line_fits(expected: &str, printed: &str) -> bool {
    let mut rest = printed;
    let parts: Vec<&str> = expected.split('…').collect();
    let last = parts.len() - 1;
    for (at, part) in parts.iter().enumerate() {
        let found = match at {
            0 => rest.starts_with(part).then_some(0),
            _ if at == last && rest.ends_with(part) => Some(rest.len() - part.len()),
            _ => rest.find(part),
        };
        let Some(found) = found else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.is_empty() || expected.ends_with('…')
}

fn fits(expected: &[String], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, others)) if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| fits(others, &printed[skipped..]))
        }
        Some((first, others)) => printed.split_first().is_some_and(|(line, rest)| {
            line_fits(first.trim_end(), line.trim_end()) && fits(others, rest)
        }),
    }
}

/// A page's own folder and where its reader stands in it.
struct Reader {
    home: Home,
    stands: PathBuf,
    /// The exit code of the last command, as `$?` of the next.
    code: i32,
}

impl Reader {
    fn new() -> Self {
        let home = Home::new();
        home.warm();
        let stands = home.path().to_owned();
        Self {
            home,
            stands,
            code: 0,
        }
    }

    /// Runs a command as a shell does, both streams as one, and gives what it printed.
    fn runs(&mut self, line: &str) -> String {
        let tools = executable().parent().unwrap().display().to_string();
        let left = self.home.path().join("stands");
        let script = format!(
            "(exit {}); {line}\ncode=$?; pwd > '{}'; exit $code",
            self.code,
            left.display()
        );
        let mut command = std::process::Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("exec 2>&1\n{script}"))
            .current_dir(&self.stands)
            .env_clear()
            .env("PATH", format!("{tools}:/usr/bin:/bin"))
            .env("HOME", self.home.path().join("home-of-user"))
            .env("FLOWHOST_PLUGINS", repository().join("target/plugins"))
            // One state for the page, whose compile cache is warm.
            .env("FLOWHOST_STATE", self.home.path().join(".flowhost"))
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        self.code = output.status.code().unwrap();
        self.stands = PathBuf::from(std::fs::read_to_string(&left).unwrap().trim_end());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Stands in a copy of a folder of the repository from here on.
    fn copies(&mut self, folder: &str) {
        let from = repository().join(folder);
        let to = self.home.path().join(from.file_name().unwrap());
        if !to.exists() {
            copy(&from, &to);
        }
        self.stands = to;
    }
}

/// Does a page from the top; `prepare` puts into a copied folder what the page says is there.
fn walk(name: &str, prepare: impl Fn(&Path)) {
    let text = std::fs::read_to_string(pages().join(name)).unwrap();
    let mut reader = Reader::new();
    for block in blocks(&text) {
        let place = format!("docs/book/{name}:{}", block.line);
        if let Some(file) = block.attributes.get("file") {
            let path = reader.stands.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, block.lines.join("\n") + "\n").unwrap();
        } else if let Some(by) = block.attributes.get("by") {
            elsewhere(&block, by, &place);
        } else if block.language == "console" {
            if let Some(folder) = block.attributes.get("from") {
                reader.copies(folder);
                prepare(&reader.stands);
            }
            let mut commands = commands(&block).into_iter().peekable();
            while let Some(command) = commands.next() {
                let printed = reader.runs(&command.line);
                // A page that shows a failure shows its exit code.
                let shown = commands.peek().is_some_and(|next| next.line == "echo $?");
                assert!(
                    reader.code == 0 || shown,
                    "{place}: `{}` ended with {} and printed\n{printed}",
                    command.line,
                    reader.code
                );
                let lines: Vec<&str> = printed.trim_end().lines().collect();
                let expected = &command.prints;
                assert!(
                    expected.is_empty() || fits(expected, &lines),
                    "{place}: `{}` ended with {} and printed\n{printed}\nand the page says\n{}",
                    command.line,
                    reader.code,
                    expected.join("\n")
                );
            }
        } else if let Some(file) = block.attributes.get("from") {
            let whole = std::fs::read_to_string(pages().join(file)).unwrap();
            assert!(
                whole.contains(&block.lines.join("\n")),
                "{place}: this is not what stands in {file}"
            );
        }
    }
}

/// A command that another test gives: its words without what differs must stand in that file.
fn elsewhere(block: &Block, by: &str, place: &str) {
    let test = std::fs::read_to_string(repository().join(by)).unwrap();
    for command in commands(block) {
        let words: Vec<&str> = command.line.split(' ').skip(1).take(2).collect();
        let given = format!("\"{}\"", words.join("\", \""));
        assert!(
            test.contains(&given),
            "{place}: no command of {by} begins with {given}"
        );
    }
}

#[test]
fn a_first_plan_goes_as_its_page_says() {
    walk("first-plan.md", |_| {});
}

#[test]
fn rights_are_granted_and_asked_about_as_their_page_says() {
    walk("profiles.md", |_| {});
}

#[test]
fn a_plugin_is_tested_as_its_page_says() {
    walk("testing.md", |_| {});
}

#[test]
fn a_gate_is_answered_as_its_page_says() {
    walk("survive.md", |_| {});
}

#[test]
fn a_run_is_done_again_as_its_page_says() {
    walk("again.md", |_| {});
}

#[test]
fn three_models_are_compared_as_their_page_says() {
    walk("compare.md", |_| {});
}

/// A state folder that came with a copy is refused by every command, and evidence of scripts would lie among one's own.
#[test]
fn a_copy_of_the_example_takes_neither_its_state_nor_its_runs_with_it() {
    let folder = "examples/spec-kit-900";
    for page in ["docs/book/compare.md", "examples/spec-kit-900/README.md"] {
        let text = std::fs::read_to_string(repository().join(page)).unwrap();
        let copies = format!("cp -r {folder} ");
        let mut lines = text.lines().map(str::trim);
        let recipe = lines.find(|line| line.starts_with(&copies)).unwrap();
        let mut reader = Reader::new();
        let from = reader.home.path().join(folder);
        copy(&repository().join(folder), &from);
        for left in [".flowhost/default/runs/x", "evidence/consensus/x"] {
            std::fs::create_dir_all(from.join(left)).unwrap();
        }
        let said = reader.runs(recipe);
        assert_eq!(reader.code, 0, "{page}: {said}");
        assert!(reader.stands.ends_with("mine"), "{page}");
        for left in [".flowhost", "evidence"] {
            assert!(!reader.stands.join(left).exists(), "{page}: {left}");
            assert!(from.join(left).exists(), "{page}: {left} of the original");
        }
        let said = reader.runs("flowhost validate plan.yaml");
        assert_eq!(reader.code, 0, "{page}: {said}");
    }
}

#[test]
fn a_plugin_is_handed_on_as_its_page_says() {
    walk("publishing.md", |_| {});
}

#[test]
fn a_template_is_used_as_its_page_says() {
    walk("templates.md", |_| {});
}

#[test]
fn the_recipes_are_built_and_run_as_their_page_says() {
    let home = Home::new();
    author(&home, &["plugin", "new", "recipes"])
        .output()
        .unwrap();
    for (from, to) in [("lib.rs", "src/lib.rs"), ("plugin.toml", "plugin.toml")] {
        let text = std::fs::read_to_string(pages().join("recipes").join(from)).unwrap();
        home.file(&format!("recipes/{to}"), text);
    }
    let arguments = ["plugin", "build", "recipes"];
    let built = author(&home, &arguments).output().unwrap();
    home.ran(&built, &arguments).expect(0);
    let component = home.path().join("recipes/dist/recipes.wasm");
    walk("recipes.md", |folder| {
        std::fs::copy(&component, folder.join("recipes.wasm")).unwrap();
    });
}

/// Every page below `docs`, with its name there.
fn all_pages() -> Vec<(String, String)> {
    let docs = repository().join("docs");
    let mut folders = vec![docs.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&docs).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The lines of a page that call the program, with the line that each block begins at.
fn calls(page: &str) -> Vec<(usize, String)> {
    let mut calls = Vec::new();
    for block in blocks(page) {
        if ["console", "sh"].contains(&block.language.as_str()) {
            let lines = block.lines.iter();
            let lines = lines.map(|line| line.strip_prefix("$ ").unwrap_or(line));
            let lines = lines.filter(|line| line.starts_with("flowhost "));
            calls.extend(lines.map(|line| (block.line, line.to_owned())));
        }
    }
    calls
}

/// With `--help` behind it a command is read to its end and not done: an option that is not there any more, or a
/// value that it does not take, is still refused.
#[test]
fn every_command_that_a_page_shows_is_one_that_the_program_takes() {
    let mut reader = Reader::new();
    let mut faults = Vec::new();
    let mut count = 0;
    for (name, text) in all_pages() {
        for (line, call) in calls(&text) {
            count += 1;
            let only_read = format!(
                "flowhost() {{ '{}' \"$@\" --help > help || touch refused; }}; rm -f refused\n{call}\ntest ! -e refused",
                executable().display()
            );
            let printed = reader.runs(&only_read);
            if reader.code != 0 {
                faults.push(format!("docs/{name}:{line}: `{call}`\n{printed}"));
            }
        }
    }
    assert!(
        count > 60,
        "the commands of the pages are not found any more: {count}"
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A page's first block of commands, given on a run of a plan with the steps and plugins that the pages name.
fn given_on_a_run(name: &str) {
    let text = std::fs::read_to_string(repository().join("docs").join(name)).unwrap();
    let mut reader = Reader::new();
    let component = std::fs::read(repository().join("target/plugins/markdown.wasm")).unwrap();
    reader.home.file("target/scan.wasm", component);
    reader.home.file(
        "plan.yaml",
        r##"flowhost: v1
kind: workflow
name: scan-and-report
inputs: { word: { type: string, default: one } }
plugins:
  scan: { kind: tool, source: ./target/scan.wasm, profile: deny-all }
steps:
  scan: { uses: scan/headings, with: { text: "# A" }, effects: idempotent }
  report: { needs: [scan], uses: scan/headings, with: { text: "# ${{ inputs.word }}" } }
"##,
    );
    let ran = reader.runs("flowhost run plan.yaml --json 2>/dev/null");
    assert_eq!(reader.code, 0, "{ran}");
    let ran: serde_json::Value = serde_json::from_str(&ran).unwrap();
    let run = ran["run_id"].as_str().unwrap();
    let blocks = blocks(&text);
    let first = blocks.iter().find(|block| block.language == "console");
    for command in commands(first.unwrap()) {
        // The pages write a run's id, or a word in its place.
        let words = command.line.split(' ').map(|word| match word {
            "RUN" | "01KAS3" => run,
            other => other,
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let printed = reader.runs(&line);
        assert_eq!(reader.code, 0, "docs/{name}: `{line}` printed\n{printed}");
    }
}

#[test]
fn the_commands_that_replay_a_run_do_so() {
    given_on_a_run("replay.md");
}

#[test]
fn the_commands_that_make_a_runs_page_do_so() {
    given_on_a_run("report.md");
}

#[test]
fn the_commands_that_fork_a_run_and_take_results_of_one_do_so() {
    given_on_a_run("reuse.md");
}

/// The first block of Rust on a page.
fn rust_of(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("docs").join(name)).unwrap();
    let mut found = blocks(&text).into_iter();
    found.find(|block| block.language == "rust").unwrap().lines
}

/// The pages show what matters of a file; what is left out of it is written here.
#[test]
fn the_rust_of_the_pages_compiles() {
    let home = Home::new();
    author(&home, &["plugin", "new", "pages"]).output().unwrap();
    // As the other tests of projects do, so that what it depends on is compiled once for all of them.
    let compiles = ["test", "--quiet", "--lib", "--no-run"];
    let tool = rust_of("writing-a-plugin.md").join("\n");
    let prelude = "//! What a page shows.\n\nuse flowhost_sdk as flowhost;\n\nuse flowhost::Error;\n\n\
        #[derive(serde::Deserialize, schemars::JsonSchema)]\nstruct Text {\n    text: String,\n}\n\n\
        #[derive(serde::Serialize, schemars::JsonSchema)]\nstruct Counted {\n    words: usize,\n}\n\n";
    home.file("pages/src/lib.rs", format!("{prelude}{tool}\n"));
    cargo(&home, "pages", &compiles);
    let talk = rust_of("capabilities/messaging.md");
    let (asks, answers) = talk.split_at(talk.iter().position(|line| line.is_empty()).unwrap());
    let agent = format!(
        "//! What a page shows.\n\nuse flowhost_sdk as flowhost;\n\nuse flowhost::{{Context, Error, Message, Outgoing, messages}};\n\n\
         fn review(draft: &str) -> Result<String, Error> {{\n    Ok(draft.to_owned())\n}}\n\nstruct Both;\n\n\
         #[flowhost::agent]\nimpl Both {{\n    fn on_plan(draft: String) -> Result<String, Error> {{\n{}\n    \
         Ok(answer.payload)\n}}\n{}\n}}\n",
        asks.join("\n"),
        answers.join("\n")
    );
    home.file("pages/src/lib.rs", agent);
    cargo(&home, "pages", &compiles);
}

/// Every page of the documentation is a page of the book, once.
#[test]
fn no_page_is_missing_from_the_book() {
    let summary = std::fs::read_to_string(repository().join("docs/SUMMARY.md")).unwrap();
    let names = all_pages().into_iter().map(|(name, _)| name);
    let missing: Vec<String> = names
        .filter(|name| {
            // What the plan of that page is run on.
            let is_page = !name.starts_with("book/recipes/");
            is_page && !["SUMMARY.md", "README.md"].contains(&name.as_str())
        })
        .filter(|name| summary.matches(&format!("({name})")).count() != 1)
        .collect();
    assert!(
        missing.is_empty(),
        "add to docs/SUMMARY.md, once each: {missing:?}"
    );
}

/// The documents of this project are what `examples/docs-check` is for.
#[test]
fn no_link_of_the_documents_leads_nowhere() {
    let home = example("docs-check");
    let docs = repository().join("docs").display().to_string();
    let input = format!("folder={docs}");
    let ran = home
        .flowhost(&["run", "plan.yaml", "--input", &input, "--json"])
        .expect(0)
        .json();
    assert_eq!(ran["outputs"]["findings"], 0, "{}", ran["outputs"]);
}
