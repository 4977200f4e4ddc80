//! `[[process]]`: the native program behind an MCP adapter or a tool, as only an operator names it.
//!
//! The attack: whoever may say what is started may do whatever the machine lets a program do. So a
//! manifest and a plan can ask for it and take it away, and never say what it is; there is no shell, no
//! pattern and no part that is filled in; and what it sees of the machine is what the same profile grants
//! as `files` and `env`, no more. That it stays there is the sandbox's (`flowhost-jail`).

use super::{files::pattern, part::Part};
use crate::{
    ask::Ask,
    canonical::Lines,
    problem::Position,
    read::{Author, Fields, Reader, node::Node},
    rights::Asks,
    text::{self, quoted},
    unit::Unit,
    walk::{Kind, List, Walk},
};

/// The right `process`.
pub(crate) struct Process;

/// Words of a command. A command that a person reads before they allow it.
const WORDS_MAX: usize = 64;

/// One `[[process]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessGrant {
    /// The program and its arguments. A name without `/` is looked for where the machine has its programs.
    pub command: Vec<String>,
    /// SHA-256 of the program's file, 64 hexadecimal digits; empty: whatever stands there.
    pub sha256: String,
    /// Where it starts, as it sees it.
    pub folder: String,
    /// Bytes of memory: of each of its processes and of all together. At it: the process is ended.
    pub memory_bytes: u64,
    /// Milliseconds of processor time of all its processes. Over it: the process is ended.
    pub cpu_ms: u64,
    /// Its processes and threads at once. Over it: it is ended.
    pub processes: u64,
    /// Open files of each of its processes. At it: the program is told that there are too many.
    pub open_files: u64,
    /// Bytes of one file that it writes, and of `/tmp`. At it: writing fails, or the process is ended.
    pub file_bytes: u64,
    /// Milliseconds from its start. At it: the process is ended.
    pub wall_ms: u64,
}

/// The numbers of a process: key, unit, floor, ceiling, what an empty table gives.
const NUMBERS: [(&str, Unit, (u64, u64), u64); 6] = [
    // A runtime such as Node's reserves some hundred MiB before it does anything.
    ("memory", Unit::Bytes, (1 << 20, 64 << 30), 512 << 20),
    // Ten minutes of work: most servers wait most of their hour.
    ("cpu", Unit::Millis, (1_000, 86_400_000), 600_000),
    // Threads count, too, and a runtime has a dozen before it does anything; a program that forks
    // without end is ended early.
    ("processes", Unit::Count, (1, 4_096), 64),
    // Of each process, with what it listens to; more is a leak, or a server for many.
    ("open_files", Unit::Count, (8, 65_536), 256),
    // What stands in `/tmp` is memory of the machine.
    ("file", Unit::Bytes, (1, 1 << 40), 64 << 20),
    // As long as a run may take where its plan says nothing.
    ("wall", Unit::Millis, (1_000, 86_400_000), 3_600_000),
];

impl ProcessGrant {
    /// The program's name for people, without its arguments.
    #[must_use]
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// The whole command for people, each word quoted.
    #[must_use]
    pub fn shown(&self) -> String {
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        format!("[{}]", words.join(", "))
    }

    /// Its numbers by key, in the order of the profile's page.
    fn numbers(&self) -> impl Iterator<Item = (&'static str, Unit, u64)> {
        let values = [
            self.memory_bytes,
            self.cpu_ms,
            self.processes,
            self.open_files,
            self.file_bytes,
            self.wall_ms,
        ];
        NUMBERS
            .iter()
            .zip(values)
            .map(|((key, unit, ..), value)| (*key, *unit, value))
    }
}

/// What a profile says.
fn granted(reader: &mut Reader, fields: &Fields<'_>) -> Vec<ProcessGrant> {
    let all = reader.tables(fields, "process", table);
    if let (true, Some(node)) = (all.len() > 1, fields.get("process")) {
        let message = "there are several `process` tables, and a plugin has one program".to_owned();
        let cure = "give each program a plugin and a profile of its own".to_owned();
        reader.problem(node.at, message, Some(cure));
    }
    all
}

fn table(reader: &mut Reader, node: &Node, path: &str) -> Option<ProcessGrant> {
    let fields = reader.fields(node, path, Process::KEYS)?;
    let at = reader
        .required(&fields, "command", "[\"node\", \"/server/index.js\"]")
        .map(|node| node.at);
    let command = command(reader, &fields);
    if let (Some(at), true) = (at, command.is_empty()) {
        let message = format!("`{}` names no program", fields.path_of("command"));
        reader.problem(at, message, None);
    }
    let sha256 = reader.text(&fields, "sha256").unwrap_or_default();
    if let (Some(node), false) = (fields.get("sha256"), is_sha256(&sha256)) {
        let message = format!(
            "`{}` is not a SHA-256: 64 digits of 0-9 and a-f",
            fields.path_of("sha256")
        );
        let cure = "`sha256sum FILE` prints it".to_owned();
        reader.problem(node.at, message, Some(cure));
    }
    let folder = folder(reader, &fields);
    let mut number = |at: usize| {
        let Some((key, unit, bounds, usual)) = NUMBERS.get(at) else {
            debug_assert!(false, "the list of numbers is as long as the struct's");
            return 0;
        };
        reader
            .quantity(&fields, key, *unit, *bounds)
            .unwrap_or(*usual)
    };
    Some(ProcessGrant {
        command,
        sha256,
        folder,
        memory_bytes: number(0),
        cpu_ms: number(1),
        processes: number(2),
        open_files: number(3),
        file_bytes: number(4),
        wall_ms: number(5),
    })
}

/// The words of the command. They may repeat, so they are no list of names.
fn command(reader: &mut Reader, fields: &Fields<'_>) -> Vec<String> {
    let Some(node) = fields.get("command") else {
        return Vec::new();
    };
    let path = fields.path_of("command");
    let items = reader.list(node, &path);
    if items.len() > WORDS_MAX {
        let message = format!("`{path}` has more than {WORDS_MAX} words");
        reader.problem(node.at, message, None);
        return Vec::new();
    }
    let mut words = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(word) = reader.text_of(item, &path) else {
            continue;
        };
        match word_fault(&word, index) {
            None => words.push(word),
            Some(fault) => fault_at(reader, item.at, &path, &word, fault),
        }
    }
    words
}

fn fault_at(reader: &mut Reader, at: Position, path: &str, word: &str, fault: &str) {
    let shown = text::shown(word, 128);
    reader.problem(at, format!("`{path}` is `{shown}`: {fault}"), None);
}

fn word_fault(word: &str, index: usize) -> Option<&'static str> {
    if word.contains('\0') || text::first_hidden(word).is_some() {
        return Some("it holds a character that cannot be seen");
    }
    let is_program = index == 0;
    if is_program && word.is_empty() {
        return Some("the first word is the program");
    }
    if is_program && word.contains(char::is_whitespace) {
        return Some("no shell splits it: each argument is a word of its own");
    }
    let climbs = word.split('/').any(|part| part == "..");
    if is_program && (climbs || (word.contains('/') && !word.starts_with('/'))) {
        return Some(
            "a program is a name, or an absolute path as the process sees it: a folder of [[files]] or `/usr/…`",
        );
    }
    word.contains("${")
        .then_some("nothing is filled in: what a process gets is written out")
}

fn folder(reader: &mut Reader, fields: &Fields<'_>) -> String {
    let Some(node) = fields.get("folder") else {
        return "/tmp".to_owned();
    };
    let folder = reader.text(fields, "folder").unwrap_or_default();
    if !pattern::is_canonical(&folder) {
        let message = format!(
            "`{}` is not an absolute path in normal form",
            fields.path_of("folder")
        );
        reader.problem(node.at, message, Some("write it like `/docs`".to_owned()));
    }
    folder
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What a manifest or a plan may say: all of it or nothing. What it is, is the operator's word.
fn asked(reader: &mut Reader, node: &Node, path: &str) -> Option<ProcessGrant> {
    let message = format!("`{path}`: only a profile says what is started");
    let cure = "write \"granted\" for what the profile grants, or [] for nothing".to_owned();
    reader.problem(node.at, message, Some(cure));
    None
}

impl Kind<ProcessGrant, ProcessGrant> for Process {
    fn right(&self) -> &'static str {
        "process"
    }

    /// The same program or none: two that differ in a word are two programs.
    fn meet(&self, granted: &ProcessGrant, asked: &ProcessGrant) -> Option<ProcessGrant> {
        (granted == asked).then(|| granted.clone())
    }

    fn show(&self, grant: &ProcessGrant) -> String {
        grant.shown()
    }

    fn show_ask(&self, asked: &ProcessGrant) -> String {
        asked.shown()
    }

    fn cure(&self, _granted: &[ProcessGrant], asked: &ProcessGrant) -> String {
        format!("[[process]]\ncommand = {}", asked.shown())
    }
}

impl Part for Process {
    type Granted = Vec<ProcessGrant>;
    type Asked = Ask<Vec<ProcessGrant>>;

    const CAPABILITY: &'static str = "mcp-transport";
    const LINES: &'static str = "[[process]]\ncommand = [\"node\", \"/server/index.js\"]";
    const KEYS: &'static [&'static str] = &[
        "command",
        "sha256",
        "folder",
        "memory",
        "cpu",
        "processes",
        "open_files",
        "file",
        "wall",
    ];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> Vec<ProcessGrant> {
        granted(reader, fields)
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<Vec<ProcessGrant>> {
        reader.asked_tables(fields, "process", author, asked)
    }

    /// A caller passes on what it has itself.
    fn passed_on(granted: &Vec<ProcessGrant>) -> Ask<Vec<ProcessGrant>> {
        Ask::Only(granted.clone())
    }

    fn holds(granted: &Vec<ProcessGrant>) -> bool {
        !granted.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &Vec<ProcessGrant>,
        pick: fn(&Asks) -> &Ask<Vec<ProcessGrant>>,
    ) -> Vec<ProcessGrant> {
        walk.items(granted, |asks| List::whole(pick(asks)), &Self)
    }

    /// A profile without a process has no such line, so that its hash is what it was before there were some.
    fn write(lines: &mut Lines, granted: &Vec<ProcessGrant>) {
        for (index, grant) in granted.iter().enumerate() {
            let path = format!("process[{index}]");
            // The order of words is their meaning.
            lines.raw(&format!("{path}.command"), grant.shown());
            lines.text(&format!("{path}.sha256"), &grant.sha256);
            lines.text(&format!("{path}.folder"), &grant.folder);
            for (key, _, value) in grant.numbers() {
                lines.number(&format!("{path}.{key}"), value);
            }
        }
    }
}
