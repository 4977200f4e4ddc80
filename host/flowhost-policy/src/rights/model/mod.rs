//! `model`: which models a plugin may ask, and what that may cost over the whole run.

pub(super) mod pattern;

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
    unit::Unit,
    walk::Walk,
};

/// `[model]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelGrant {
    /// Patterns `provider/name`, `*` at the end of a segment only.
    pub allow: Vec<String>,
    /// Tokens per run of this plugin.
    pub tokens: u64,
    /// Micro-USD per run of this plugin.
    pub micro_usd: u64,
}

/// The right `model`.
pub(crate) struct Model;

/// Most tokens per run of a plugin: more is a slip of the keyboard, not a budget.
const TOKENS_MAX: u64 = 1_000_000_000;
/// Most micro-USD per run of a plugin: a million dollars, for the same reason.
const MICRO_USD_MAX: u64 = 1_000_000_000_000;

const ALLOW: Texts = Texts {
    path: "model.allow",
    table: "model",
    key: "allow",
    example: "mock/*",
    beside: "tokens = 20_000\nusd = 0.50",
    is_name: |text| text.contains('/') && is_path_of_names(text),
    matches: pattern::matches,
    overlap: pattern::overlap,
};

/// Whether the plugin may ask `wanted`, written `provider/name`. What it may spend is the budget's.
///
/// # Errors
///
/// [`Denied`](crate::Denied) with `model.allow#none`, or `model.allow.name` when it is not a model's name.
pub fn decide_model<'a>(grant: &'a ModelGrant, wanted: &str) -> Verdict<'a, String> {
    ALLOW.decide(&grant.allow, wanted)
}

impl Part for Model {
    type Granted = ModelGrant;
    type Asked = Ask<ModelGrant>;

    const CAPABILITY: &'static str = "model";
    const LINES: &'static str = "[model]\nallow = [\"mock/*\"]\ntokens = 20_000\nusd = 0.50";
    const KEYS: &'static [&'static str] = &["allow", "tokens", "usd"];
    const QUESTIONS: &'static [Question] =
        &[Question::new("model", "mock/fixed", |grants, text, _| {
            ALLOW.rule(&grants.model.allow, text)
        })];

    /// A profile says what it may cost: a model without amounts would be a blank cheque.
    fn read(reader: &mut Reader, fields: &Fields<'_>) -> ModelGrant {
        let read = |reader: &mut Reader, node: &Node, path: &str| {
            if let Some(inner) = reader.fields(node, path, Self::KEYS) {
                reader.required(&inner, "allow", "[\"mock/*\"]");
                reader.required(&inner, "tokens", "20_000");
                reader.required(&inner, "usd", "0.50");
            }
            table(reader, node, path, (0, 0))
        };
        reader.table(fields, "model", read).unwrap_or_default()
    }

    /// Missing amounts are the ceilings: what is not named does not lower anything.
    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<ModelGrant> {
        reader.asked(fields, "model", author, |reader, node, path| {
            table(reader, node, path, (TOKENS_MAX, MICRO_USD_MAX))
        })
    }

    fn passed_on(granted: &ModelGrant) -> Ask<ModelGrant> {
        Ask::Only(granted.clone())
    }

    fn holds(granted: &ModelGrant) -> bool {
        !granted.allow.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &ModelGrant,
        pick: fn(&Asks) -> &Ask<ModelGrant>,
    ) -> ModelGrant {
        let allow = ALLOW.narrow(walk, &granted.allow, pick, |model| &model.allow);
        let empty = allow.is_empty();
        let asked = |asks: &Asks| pick(asks).only().map(|model| model.tokens);
        let tokens = walk.amount("model.tokens", Unit::Count, granted.tokens, empty, asked);
        let asked = |asks: &Asks| pick(asks).only().map(|model| model.micro_usd);
        let micro_usd = walk.amount("model.usd", Unit::MicroUsd, granted.micro_usd, empty, asked);
        ModelGrant {
            allow,
            tokens,
            micro_usd,
        }
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<ModelGrant>, granted: &ModelGrant) {
        if let Ask::Only(model) = asked {
            ALLOW.raises(raised, &model.allow, &granted.allow);
            let tokens = (model.tokens, granted.tokens);
            raised.amount("model.tokens", Unit::Count, tokens, TOKENS_MAX);
            let usd = (model.micro_usd, granted.micro_usd);
            raised.amount("model.usd", Unit::MicroUsd, usd, MICRO_USD_MAX);
        }
    }

    fn write(lines: &mut Lines, granted: &ModelGrant) {
        ALLOW.write(lines, &granted.allow);
        lines.number("model.tokens", granted.tokens);
        lines.number("model.micro_usd", granted.micro_usd);
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        let fresh = !amendment.has("model");
        let added = ALLOW.add(amendment, refusal).and_then(|()| {
            if !fresh {
                return Some(());
            }
            // A profile that names models names what they may cost.
            amendment.set("model", "tokens", "20_000")?;
            amendment.set("model", "usd", "0.50")
        });
        Outcome::written(added)
    }

    fn allows(granted: &ModelGrant, _plugin: &str, refusal: &Refusal<'_>) -> bool {
        ALLOW.allows(&granted.allow, refusal)
    }
}

/// Reads the table, with what stands for missing tokens and micro-USD.
fn table(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    (tokens, micro_usd): (u64, u64),
) -> Option<ModelGrant> {
    let fields = reader.fields(node, path, Model::KEYS)?;
    let rule = "a model is `provider/name`, `*` only at the end of a segment";
    Some(ModelGrant {
        allow: reader.texts(&fields, "allow", one_of(pattern::is_pattern, rule)),
        tokens: reader
            .quantity(&fields, "tokens", Unit::Count, (1, TOKENS_MAX))
            .unwrap_or(tokens),
        micro_usd: reader
            .quantity(&fields, "usd", Unit::MicroUsd, (0, MICRO_USD_MAX))
            .unwrap_or(micro_usd),
    })
}
