//! To which step a record belongs: most name it by its id alone, and a result names only its call. Whoever shows a part
//! of a run asks here, so that all parts are cut alike.

use std::collections::HashMap;

use flowhost_ledger::records::Record;

use crate::runs::RecordEntry;

/// The steps of a run by what its records call them.
#[derive(Debug, Default)]
pub struct Places {
    /// Their paths by their ids.
    paths: HashMap<String, String>,
    /// Their ids by the ids of the calls that work for them.
    calls: HashMap<String, String>,
}

impl Places {
    /// Looks through the records of a run.
    #[must_use]
    pub fn of(records: &[RecordEntry]) -> Self {
        let mut places = Self::default();
        for said in records.iter().filter_map(|record| record.said.as_ref()) {
            let (id, path) = (said.step(), said.path());
            // A `foreach` as a whole has a path and no id.
            if !id.is_empty() && !path.is_empty() {
                places.paths.insert(id.to_owned(), path.to_owned());
            }
            if let Record::ToolCall(call) = said
                && let Some(number) = &call.call_of.call
            {
                let id = call.call_of.step.clone();
                places.calls.insert(number.clone(), id);
            }
        }
        places
    }

    /// The path of the step that the record belongs to; none for one about the run as a whole.
    #[must_use]
    pub fn path<'p>(&'p self, said: &'p Record) -> Option<&'p str> {
        let own = Some(said.path()).filter(|path| !path.is_empty());
        own.or_else(|| self.by_id(said.step()))
            .or_else(|| match said {
                Record::ToolResult(result) => self.by_call(result.call_of.call.as_deref()?),
                Record::PlannerEvent(event) => self.by_call(&event.call?.to_string()),
                _ => None,
            })
    }

    /// The `foreach` whose items the record is about: `check` of `check[3]`, and of what that item runs.
    #[must_use]
    pub fn foreach<'p>(&'p self, said: &'p Record) -> Option<&'p str> {
        let (of, _) = self.path(said)?.split_once('[')?;
        Some(of)
    }

    fn by_id(&self, id: &str) -> Option<&str> {
        self.paths.get(id).map(String::as_str)
    }

    fn by_call(&self, call: &str) -> Option<&str> {
        self.by_id(self.calls.get(call)?)
    }
}
