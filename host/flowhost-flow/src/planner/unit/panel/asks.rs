//! How questions are put: what each agent, the arbiter and a judge find in `input.consensus`, and the
//! schemas that their answers must fit.
//!
//! Everything is handed over as typed JSON beside the step's own input; nothing is written into a prompt
//! here, so that no answer can become an instruction by its place.

use serde_json::{Map, Value, json};

use super::{Panel, positions};
use crate::planner::unit::panel::arbiter::Task;

/// A question longer than this is noted, in characters: answers get worse where much is to be read.
const LARGE_INPUT_CHARS: usize = 24_000;
/// Longest list that an arbiter may give, and its longest text in characters. They are sent to the provider as a
/// schema, and what fits them goes into evidence and into the next prompts.
const LIST_MAX: u64 = 200;
const TEXT_MAX: u64 = 2_000;

/// The effort that an agent is told: little where a stage only checks, much where agents differed.
fn effort_of(stage: Option<&str>, disagreed: bool) -> &'static str {
    match (stage, disagreed) {
        (_, true) => "high",
        (Some("validate" | "unlock"), false) => "minimal",
        _ => "medium",
    }
}

impl Panel {
    pub(super) fn member_input(&mut self, place: usize) -> Value {
        let effort = effort_of(self.stage.as_deref(), self.disagreed);
        let earlier = match self.spec.mode {
            crate::plan::Mode::Relay => self.answers(),
            crate::plan::Mode::Parallel => Vec::new(),
        };
        let mut consensus = json!({ "role": "member", "round": self.round, "effort": effort });
        if !earlier.is_empty() {
            set(&mut consensus, "earlier", json!(positions(&earlier)));
        }
        let Some(member) = self.members.get_mut(place) else {
            return self.with(consensus);
        };
        member.effort = effort;
        set(&mut consensus, "agent", json!(member.agent));
        if let Some(told) = &member.told {
            set(&mut consensus, "failure", json!(told));
        }
        self.with(consensus)
    }

    pub(super) fn bench_input(&mut self) -> Value {
        let effort = effort_of(self.stage.as_deref(), self.disagreed);
        self.bench.effort = effort;
        let missing: Vec<&str> = self.missing();
        let mut consensus = json!({
            "role": "arbiter",
            "task": self.bench.task.word(),
            "round": self.round,
            "effort": effort,
            "outputs": positions(&self.answers()),
            "missing": missing,
            "agreements": self.agreements,
            "conflicts": self.conflicts,
        });
        if let Some(told) = self.bench.told.as_ref().or(self.recovering.as_ref()) {
            set(&mut consensus, "failure", json!(told));
        }
        if self.bench.task == Task::Settle {
            set(&mut consensus, "issues", json!(self.to_settle()));
        }
        if let (Task::Decide, Some((_, why))) = (self.bench.task, &self.bench.question) {
            set(&mut consensus, "question", json!(why));
        }
        self.with(consensus)
    }

    /// The step's input, and what the host says beside it.
    fn with(&self, consensus: Value) -> Value {
        let mut input = match self.input.as_ref() {
            Value::Object(members) => members.clone(),
            _ => Map::new(),
        };
        input.insert("consensus".to_owned(), consensus);
        Value::Object(input)
    }

    pub(super) fn note_large(&mut self, input: &Value, place: usize) {
        let chars = self.prompt_chars + input.to_string().chars().count();
        if chars > LARGE_INPUT_CHARS {
            let member = self.members.get(place);
            let who = member.map_or("the arbiter", |member| member.agent.as_str());
            let note = format!("large_input_context: {who}");
            self.notes.insert(note);
        }
    }

    /// What the arbiter's answer must look like.
    pub(super) fn bench_schema(&self) -> Value {
        let agents: Vec<&str> = self.answers().into_iter().map(|(agent, _)| agent).collect();
        let text = json!({ "type": "string", "minLength": 1, "maxLength": TEXT_MAX });
        let list = |items: Value| json!({ "type": "array", "maxItems": LIST_MAX, "items": items });
        let output = self.output_schema();
        match self.bench.task {
            Task::Synthesize => record(&[
                ("agreements", list(text.clone())),
                ("conflicts", {
                    let positions = json!({ "type": "object", "additionalProperties": text });
                    list(record(&[("issue", text.clone()), ("positions", positions)]))
                }),
                ("output", output),
            ]),
            Task::Decide => {
                let ids: Vec<&str> = self.conflicts.iter().map(|it| it.id.as_str()).collect();
                let mut sides: Vec<Value> = agents.iter().map(|agent| json!(agent)).collect();
                sides.push(Value::Null);
                let id = match ids.is_empty() {
                    true => text.clone(),
                    false => json!({ "enum": ids }),
                };
                let decision = record(&[
                    ("conflict", id),
                    ("resolution", text.clone()),
                    ("sided_with", json!({ "enum": sides })),
                    ("reason", text),
                ]);
                record(&[
                    ("decisions", list(decision)),
                    ("sufficient", json!({ "type": "boolean" })),
                    ("output", output),
                ])
            }
            Task::Judge => {
                let score = record(&[
                    ("agent", json!({ "enum": agents })),
                    (
                        "score",
                        json!({ "type": "number", "minimum": 0, "maximum": 1 }),
                    ),
                    ("reason", text),
                ]);
                record(&[("scores", list(score))])
            }
            Task::Settle => self.settle_schema(text),
        }
    }

    /// The step's schema as a part of another: its references follow it to its new place.
    fn output_schema(&self) -> Value {
        let Some(schema) = &self.schema else {
            return json!({});
        };
        as_part((*schema.source()).clone())
    }
}

/// A whole schema as what the member `output` of another must look like.
fn as_part(mut schema: Value) -> Value {
    // Both speak of a whole document. In a part of one the draft means nothing, and an id would make its
    // references start from it again. Only at the top, because below `properties` they are names of members.
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("$id");
    }
    move_references(&mut schema);
    schema
}

/// An object with exactly these members.
pub(super) fn record(members: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}

fn move_references(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(to) if name == "$ref" && to.starts_with('#') => {
                        let rest = to.trim_start_matches('#').to_owned();
                        *to = format!("#/properties/output{rest}");
                    }
                    _ => move_references(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_becomes_a_part_keeps_its_members_and_finds_what_it_refers_to() {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:x",
            "required": ["$schema"],
            "properties": { "$schema": { "$ref": "#/$defs/text" }, "$id": { "type": "string" } },
            "$defs": { "text": { "type": "string" } },
        });
        let part = json!({
            "required": ["$schema"],
            "properties": {
                "$schema": { "$ref": "#/properties/output/$defs/text" },
                "$id": { "type": "string" },
            },
            "$defs": { "text": { "type": "string" } },
        });
        assert_eq!(as_part(whole), part);
    }
}
