//! `tools`: which tools of other plugins a plugin may call.

pub(super) mod pattern;

use std::collections::BTreeSet;

use super::{
    list::{Texts, one_of},
    part::Part,
};
use crate::{
    ask::Ask,
    canonical::Lines,
    decision::Verdict,
    narrow::Raised,
    pattern::is_path_of_names,
    read::{Author, Fields, Reader, node::Node},
    rights::{Asks, Question},
    suggest::{Amendment, Outcome, Refusal},
    walk::Walk,
};

/// `[tools]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolsGrant {
    /// Patterns `plugin` (all its tools), `plugin/tool`, `plugin/*`.
    pub call: Vec<String>,
}

impl ToolsGrant {
    /// What both grant: where one plugin acts for another, it reaches no tool that the other does not.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::ToolsGrant;
    ///
    /// let grant = |call: &[&str]| ToolsGrant { call: call.iter().map(ToString::to_string).collect() };
    /// let shared = grant(&["files/*", "shop/*"]).shared_with(&grant(&["code/run", "files/read"]));
    /// assert_eq!(shared, grant(&["files/read"]));
    /// ```
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Self {
        let pairs = self
            .call
            .iter()
            .flat_map(|mine| other.call.iter().map(move |their| (mine, their)));
        let shared: BTreeSet<String> = pairs
            .filter_map(|(mine, their)| pattern::overlap(mine, their))
            .collect();
        Self {
            call: shared.into_iter().collect(),
        }
    }
}

/// The right `tools`.
pub(crate) struct Tools;

const CALL: Texts = Texts {
    path: "tools.call",
    table: "tools",
    key: "call",
    example: "plugin/tool",
    beside: "",
    is_name: is_path_of_names,
    matches: pattern::matches,
    overlap: pattern::overlap,
};

/// Whether the plugin may call `wanted`, written `plugin/tool`.
///
/// # Errors
///
/// [`Denied`](crate::Denied) with `tools.call#none`, or `tools.call.name` when it is not a tool's name.
pub fn decide_tool<'a>(grant: &'a ToolsGrant, wanted: &str) -> Verdict<'a, String> {
    CALL.decide(&grant.call, wanted)
}

impl Part for Tools {
    type Granted = ToolsGrant;
    type Asked = Ask<ToolsGrant>;

    const CAPABILITY: &'static str = "tools";
    const LINES: &'static str = "[tools]\ncall = [\"plugin/tool\"]";
    const KEYS: &'static [&'static str] = &["call"];
    const QUESTIONS: &'static [Question] =
        &[Question::new("tool", "plugin/tool", |grants, text, _| {
            CALL.rule(&grants.tools.call, text)
        })];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> ToolsGrant {
        reader.table(fields, "tools", table).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<ToolsGrant> {
        reader.asked(fields, "tools", author, table)
    }

    fn passed_on(granted: &ToolsGrant) -> Ask<ToolsGrant> {
        Ask::Only(granted.clone())
    }

    fn holds(granted: &ToolsGrant) -> bool {
        !granted.call.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &ToolsGrant,
        pick: fn(&Asks) -> &Ask<ToolsGrant>,
    ) -> ToolsGrant {
        ToolsGrant {
            call: CALL.narrow(walk, &granted.call, pick, |tools| &tools.call),
        }
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<ToolsGrant>, granted: &ToolsGrant) {
        if let Ask::Only(tools) = asked {
            CALL.raises(raised, &tools.call, &granted.call);
        }
    }

    fn write(lines: &mut Lines, granted: &ToolsGrant) {
        CALL.write(lines, &granted.call);
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        CALL.amend(amendment, refusal)
    }

    fn allows(granted: &ToolsGrant, _plugin: &str, refusal: &Refusal<'_>) -> bool {
        CALL.allows(&granted.call, refusal)
    }
}

/// Reads the table; `fetch` is kept as `fetch/*`, which means the same.
fn table(reader: &mut Reader, node: &Node, path: &str) -> Option<ToolsGrant> {
    let fields = reader.fields(node, path, Tools::KEYS)?;
    let is_pattern = one_of(
        pattern::is_pattern,
        "a tool is `plugin`, `plugin/tool` or `plugin/*`",
    );
    let call = reader.texts(&fields, "call", |text| {
        let text = is_pattern(text)?;
        Ok(if text.contains('/') {
            text
        } else {
            format!("{text}/*")
        })
    });
    Some(ToolsGrant { call })
}
