//! `flowhost memory list`.

use flowhost::failure::Failure;
use flowhost::output::one_line;
use flowhost_flow::Exit;
use flowhost_run::memory::{ENTRY_BYTES_MAX, Entry};

use crate::cli::{MemoryArgs, MemoryCommand};
use crate::commands::Context;
use crate::commands::runs_show::seconds;
use crate::commands::tables::plain_table;

/// Characters of an answer in the table; `--json` has all that was kept.
const SHOWN_CHARS_MAX: usize = 60;

pub(super) fn perform(command: &MemoryCommand, context: &Context) -> Result<Exit, Failure> {
    let MemoryCommand::List(args) = command;
    list(args, context)
}

fn list(args: &MemoryArgs, context: &Context) -> Result<Exit, Failure> {
    let all = read(context)?;
    let any = !all.is_empty();
    let mut found: Vec<Entry> = all
        .into_iter()
        .filter(|entry| entry.has(&args.tags))
        .collect();
    // By id where two are of one moment, so that the order is the same each time.
    found.sort_by(|a, b| (&b.at, &b.id).cmp(&(&a.at, &a.id)));
    if context.output.json {
        context.output.document(&found);
    } else if found.is_empty() {
        context.output.message(match any {
            true => "nothing that is remembered has these tags\n",
            false => {
                "nothing is remembered yet: a stage with `remember:` keeps what its agents said\n"
            }
        });
    } else {
        context.output.result(&table(&found));
    }
    Ok(Exit::Ok)
}

/// All entries. What is no entry (somebody else's file, one of another version or too large, a folder, a pipe) is
/// named and left out.
fn read(context: &Context) -> Result<Vec<Entry>, Failure> {
    let dir = context.state.memory_dir();
    let names = match context.ambient.list(&dir) {
        Ok(names) => names,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut entries = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        let path = dir.join(name);
        let read = context.ambient.read(&path, ENTRY_BYTES_MAX);
        let entry = read
            .map_err(|error| error.source.to_string())
            .and_then(|bytes| {
                serde_json::from_slice(&bytes).map_err(|error: serde_json::Error| error.to_string())
            });
        match entry {
            Ok(entry) => entries.push(entry),
            Err(why) => {
                let text = format!("`{}` was left out: {why}", path.display());
                context
                    .output
                    .message(&format!("note: {}\n", one_line(&text)));
            }
        }
    }
    Ok(entries)
}

fn table(entries: &[Entry]) -> String {
    let mut table = plain_table(&["kept", "spec", "stage", "agent", "status", "worth", "said"]);
    for entry in entries {
        let said = one_line(&entry.text);
        let shown: String = said.chars().take(SHOWN_CHARS_MAX).collect();
        table.add_row([
            seconds(&entry.at),
            one_line(&entry.spec),
            one_line(&entry.stage),
            one_line(&entry.agent),
            one_line(&entry.status),
            entry.importance.to_string(),
            match shown.len() < said.len() {
                true => format!("{shown}…"),
                false => shown,
            },
        ]);
    }
    format!("{}\n", table.trim_fmt())
}
