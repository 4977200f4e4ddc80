//! `files`: which folders of the host a plugin finds, where, and what it may do below them.

mod amend;
mod decide;
mod meet;
pub(crate) mod pattern;
mod read;

use super::part::Part;
use crate::{
    ask::Ask,
    canonical::Lines,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::{Asks, Question},
    suggest::{Amendment, Outcome, Refusal},
    text::quoted,
    unit::{self, Unit},
    walk::{Kind, List, Walk},
};

pub use decide::decide_file;
pub use read::{FOLDER_ENTRIES_MAX, host_input};

/// Read, or read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Look and read; every verb that changes anything is refused.
    Read,
    /// Also create, write, rename and remove, up to the quota.
    Write,
}

/// One `[[files]]` table: a host folder at a guest path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileGrant {
    /// Absolute guest path, normalised, no trailing slash: `/docs`.
    pub guest: String,
    /// Host folder, relative to the plan file.
    pub host: String,
    /// Read, or read and write.
    pub access: Access,
    /// Most bytes that may stand below the folder after a write; 0 for read grants.
    pub quota_bytes: u64,
    /// Most entries (files and folders) that may stand below it; 0 for read grants.
    pub quota_entries: u64,
}

/// A guest folder, with what the host folder may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAsk {
    /// Guest path.
    pub guest: String,
    /// At or below this host folder; `None` leaves it to the operator.
    pub host: Option<String>,
    /// No more access than this.
    pub access: Access,
    /// No more bytes than this.
    pub quota_bytes: u64,
    /// No more entries than this.
    pub quota_entries: u64,
}

/// The right `files`.
pub(crate) struct Files;

const ACCESS_WORDS: [(&str, Access); 2] = [("read", Access::Read), ("write", Access::Write)];

impl Access {
    /// The word in a profile.
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Kind<FileGrant, FileAsk> for Files {
    fn right(&self) -> &'static str {
        "files"
    }

    fn meet(&self, granted: &FileGrant, asked: &FileAsk) -> Option<FileGrant> {
        meet::meet(granted, asked)
    }

    fn show(&self, grant: &FileGrant) -> String {
        let head = format!(
            "{} from {} ({}",
            grant.guest,
            grant.host,
            grant.access.word()
        );
        if grant.quota_bytes == 0 {
            return format!("{head})");
        }
        let quota = unit::show(Unit::Bytes, grant.quota_bytes);
        format!("{head}, {quota}, {} entries)", grant.quota_entries)
    }

    fn show_ask(&self, asked: &FileAsk) -> String {
        format!("{} ({})", asked.guest, asked.access.word())
    }

    fn cure(&self, _granted: &[FileGrant], asked: &FileAsk) -> String {
        decide::lines(&asked.guest, asked.access)
    }
}

impl Part for Files {
    type Granted = Vec<FileGrant>;
    type Asked = Ask<Vec<FileAsk>>;

    const CAPABILITY: &'static str = "files";
    const LINES: &'static str = "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"";
    const KEYS: &'static [&'static str] = &["guest", "host", "access", "quota", "entries"];
    const QUESTIONS: &'static [Question] = &[
        Question::new("read", "/docs/a.md", |grants, text, _| {
            decide::rule(&grants.files, text, Access::Read)
        }),
        Question::new("write", "/docs/a.md", |grants, text, _| {
            decide::rule(&grants.files, text, Access::Write)
        }),
    ];
    const SOFT: &'static [&'static str] = &["wasi:filesystem/types", "wasi:filesystem/preopens"];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> Vec<FileGrant> {
        read::grants(reader, fields)
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<Vec<FileAsk>> {
        read::asks(reader, fields, author)
    }

    fn passed_on(granted: &Vec<FileGrant>) -> Ask<Vec<FileAsk>> {
        let folders = granted.iter().map(|grant| FileAsk {
            guest: grant.guest.clone(),
            host: Some(grant.host.clone()),
            access: grant.access,
            quota_bytes: grant.quota_bytes,
            quota_entries: grant.quota_entries,
        });
        Ask::Only(folders.collect())
    }

    fn holds(granted: &Vec<FileGrant>) -> bool {
        !granted.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &Vec<FileGrant>,
        pick: fn(&Asks) -> &Ask<Vec<FileAsk>>,
    ) -> Vec<FileGrant> {
        walk.items(granted, |asks| List::whole(pick(asks)), &Self)
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<Vec<FileAsk>>, granted: &Vec<FileGrant>) {
        if let Ask::Only(folders) = asked {
            let covered = |ask: &FileAsk| {
                let mut met = granted.iter().filter_map(|grant| meet::meet(grant, ask));
                met.any(|met| met.guest == ask.guest)
            };
            raised.items("files", folders, covered, |ask| ask.guest.clone());
        }
    }

    fn write(lines: &mut Lines, granted: &Vec<FileGrant>) {
        let mut sorted: Vec<_> = granted.iter().collect();
        // The order of the tables decides nothing, so that it must not change the hash of what is
        // granted.
        sorted.sort_by(|a, b| (&a.guest, &a.host).cmp(&(&b.guest, &b.host)));
        for grant in sorted {
            let path = format!("files.{}", quoted(&grant.guest));
            lines.text(&format!("{path}.host"), &grant.host);
            lines.text(&format!("{path}.access"), grant.access.word());
            lines.number(&format!("{path}.quota"), grant.quota_bytes);
            lines.number(&format!("{path}.entries"), grant.quota_entries);
        }
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        Outcome::written(amend::folder(amendment, refusal))
    }

    fn allows(granted: &Vec<FileGrant>, _plugin: &str, refusal: &Refusal<'_>) -> bool {
        amend::asked(refusal)
            .is_some_and(|(access, guest)| decide_file(granted, guest, access).is_ok())
    }
}
