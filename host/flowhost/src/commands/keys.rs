//! `flowhost keys show` and `flowhost keys rotate`.

use std::path::Path;
use std::sync::Arc;

use flowhost::failure::Failure;
use flowhost::keys::{KEY_VARIABLE, given, retire, unusable};
use flowhost::made_here;
use flowhost_flow::Exit;
use flowhost_ledger::{HostKey, RunIndex};

use crate::cli::KeysCommand;
use crate::commands::Context;

pub(crate) fn perform(command: &KeysCommand, context: &Context) -> Result<Exit, Failure> {
    let path = context.state.signing_key();
    if let Some(key) = given(&context.ambient)? {
        return match command {
            KeysCommand::Show => Ok(shown(&key, None, context)),
            KeysCommand::Rotate => Err(Failure::new(Exit::Usage, "the key cannot be rotated here")
                .because(format!("{KEY_VARIABLE} gives it, and not the state folder"))
                .hint(
                    "give another one there; `--key` of `verify` checks what this one has signed",
                )),
        };
    }
    if !context.ambient.is_file(&path) {
        // Whoever asks for a key wants the one that something was signed with: a new one, of a host that nobody meant,
        // would pass for it.
        if matches!(command, KeysCommand::Show) {
            return Err(no_key(context));
        }
        // Before the key, or a folder whose key was just made would look like one that came along.
        made_here::mark(&context.ambient, &context.state)?;
    }
    let key = HostKey::load_or_create(&path, context.config.host.as_deref())
        .map_err(|error| unusable(&error))?;
    let key = match command {
        KeysCommand::Show => key,
        KeysCommand::Rotate => {
            // A run that was killed is signed by the key that began it, while there is that key.
            super::settle(context);
            rotate(context, key)?
        }
    };
    Ok(shown(&key, Some(&path), context))
}

fn no_key(context: &Context) -> Failure {
    let root = context.state.root().display();
    let message = format!("the state folder `{root}` has no signing key");
    Failure::new(Exit::Internal, message)
        .because("nothing was signed there yet, or it is not the state folder that was meant")
        .hint(
            "name the state folder (`.flowhost`) that the runs were made in: `flowhost keys show --state DIR`; where \
             this is a new host, its first run makes the key, and so does `keys rotate`",
        )
}

fn shown(key: &HostKey, file: Option<&Path>, context: &Context) -> Exit {
    let vkey = key.vkey().to_string();
    if context.output.json {
        let document = serde_json::json!({ "host": key.host(), "key": vkey, "file": file });
        context.output.document(&document);
    } else {
        context.output.result(&format!("{vkey}\n"));
    }
    Exit::Ok
}

/// In the order in which a kill in between does least: the old key is known as one of ours before anything is signed by
/// another, and the index, which stays open over the change, hears of the new one before its file is replaced.
fn rotate(context: &Context, old: HostKey) -> Result<HostKey, Failure> {
    let state = &context.state;
    let new = HostKey::generate(old.host()).map_err(|error| unusable(&error))?;
    retire(&context.ambient, state, &old)?;
    let indexed = context
        .ambient
        .is_dir(&RunIndex::dir(state.root(), state.tenant()));
    // The same key twice: the index keeps one, and the file is written from the other.
    let secret = new.secret_text();
    let handed = HostKey::parse(&secret).map_err(|error| unusable(&error))?;
    if indexed {
        RunIndex::new(state.root(), state.tenant(), Arc::new(old))
            .rotate_key(Arc::new(handed))
            .map_err(|error| {
                Failure::new(Exit::Internal, "the run index cannot change its key")
                    .caused_by(&error)
                    .hint("the old key stays in use; no run may be writing while keys rotate")
            })?;
    }
    HostKey::replace(&state.signing_key(), &new).map_err(|error| unusable(&error))?;
    Ok(new)
}
