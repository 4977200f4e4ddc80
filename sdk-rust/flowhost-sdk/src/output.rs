//! What an author's function hands back, as the contract wants it: a value of any type with a JSON form,
//! with or without an error, with or without parts beside it.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Answer, Context, Descriptor, Error, Outgoing, Output, Part, answer};

/// A tool's function, described and callable. `#[flowhost_sdk::tool]` writes it.
pub trait Function {
    /// The tool's name.
    const NAME: &'static str;
    /// What people, models and the host are told of it.
    fn descriptor() -> Descriptor;
    /// Calls it with a document that the host has checked.
    ///
    /// # Errors
    /// Whatever the function answers.
    fn call(ctx: &Context, input: &str) -> Result<Answer, Error>;
}

/// What a tool may hand back: a value of a type with [`Serialize`] and [`JsonSchema`], a [`Reply`] with
/// such a value and parts beside it, or an [`Answer`], which says nothing of its form.
#[diagnostic::on_unimplemented(
    message = "a tool cannot hand back `{Self}`",
    label = "derive `serde::Serialize` and `schemars::JsonSchema` for it"
)]
pub trait ToolOutput {
    /// The JSON Schema of the value; `None` where nothing is promised.
    fn schema(generator: SchemaGenerator) -> Option<Schema>;
    /// The content that goes back.
    ///
    /// # Errors
    /// [`Error::Failed`] when the value has no JSON form.
    fn into_answer(self) -> Result<Answer, Error>;
}

impl<T: Serialize + JsonSchema> ToolOutput for T {
    fn schema(generator: SchemaGenerator) -> Option<Schema> {
        Some(generator.into_root_schema_for::<T>())
    }

    fn into_answer(self) -> Result<Answer, Error> {
        answer(&self)
    }
}

impl ToolOutput for Answer {
    fn schema(_: SchemaGenerator) -> Option<Schema> {
        None
    }

    fn into_answer(self) -> Result<Self, Error> {
        Ok(self)
    }
}

/// A value for programs with parts for people and models beside it.
///
/// ```
/// use flowhost_sdk::Reply;
///
/// let reply = Reply::new(7).text("seven of them");
/// assert_eq!(reply.parts.len(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct Reply<T> {
    /// What fits the output schema.
    pub value: T,
    /// What a person or a model reads, looks at or listens to.
    pub parts: Vec<Part>,
}

impl<T> Reply<T> {
    /// A value without parts.
    pub const fn new(value: T) -> Self {
        Self {
            value,
            parts: Vec::new(),
        }
    }

    /// With one more part.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// With a text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.part(Part::text(text))
    }
}

impl<T: Serialize + JsonSchema> ToolOutput for Reply<T> {
    fn schema(generator: SchemaGenerator) -> Option<Schema> {
        T::schema(generator)
    }

    fn into_answer(self) -> Result<Answer, Error> {
        let Answer { value, .. } = answer(&self.value)?;
        Ok(Answer {
            value,
            parts: self.parts,
        })
    }
}

/// What a fallible function hands back: the error of any type that knows its class.
#[diagnostic::on_unimplemented(
    message = "the host cannot tell what this error means",
    label = "write `impl From<YourError> for flowhost_sdk::Error`, which says whether it is invalid, transient, failed or a conflict"
)]
pub trait Returned {
    /// What it hands back when it works.
    type Value;
    /// The same, with the contract's error.
    ///
    /// # Errors
    /// The function's own.
    fn returned(self) -> Result<Self::Value, Error>;
}

impl<T, E: Into<Error>> Returned for Result<T, E> {
    type Value = T;

    fn returned(self) -> Result<T, Error> {
        self.map_err(Into::into)
    }
}

/// A step's result: an [`Output`] as it is, or any value with a JSON form.
pub trait AgentOutput {
    /// As the contract wants it.
    ///
    /// # Errors
    /// [`Error::Failed`] when the value has no JSON form.
    fn into_output(self) -> Result<Output, Error>;
}

impl AgentOutput for Output {
    fn into_output(self) -> Result<Output, Error> {
        Ok(self)
    }
}

impl<T: Serialize> AgentOutput for T {
    fn into_output(self) -> Result<Output, Error> {
        let Answer { value, .. } = answer(&self)?;
        Ok(Output {
            content: value,
            notes: Vec::new(),
        })
    }
}

/// What an agent answers a message with: nothing, or messages.
pub trait AgentMessages {
    /// As the contract wants it.
    fn into_messages(self) -> Vec<Outgoing>;
}

impl AgentMessages for Vec<Outgoing> {
    fn into_messages(self) -> Vec<Outgoing> {
        self
    }
}

impl AgentMessages for Outgoing {
    fn into_messages(self) -> Vec<Outgoing> {
        vec![self]
    }
}

impl AgentMessages for () {
    fn into_messages(self) -> Vec<Outgoing> {
        Vec::new()
    }
}

/// A document that is not the input, read into a type.
///
/// # Errors
/// [`Error::Invalid`] with the document's name, line and column.
pub fn parse_named<T: DeserializeOwned>(name: &str, json: &str) -> Result<T, Error> {
    crate::json::parse_named(name, json)
}

/// What `on_plan` hands back.
///
/// # Errors
/// As [`AgentOutput::into_output`].
pub fn into_output(value: impl AgentOutput) -> Result<Output, Error> {
    value.into_output()
}

/// What `on_message` hands back.
///
/// # Errors
/// Never; the attribute writes the same for every function.
pub fn into_outgoing(value: impl AgentMessages) -> Result<Vec<Outgoing>, Error> {
    Ok(value.into_messages())
}

/// JSON Schema 2020-12 without a word that says so: a descriptor is always that.
fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None)
}

/// The JSON Schema of what a type reads.
#[must_use]
pub fn input_schema<T: DeserializeOwned + JsonSchema>() -> String {
    let generator = settings().for_deserialize().into_generator();
    generator.into_root_schema_for::<T>().as_value().to_string()
}

/// The JSON Schema of what a type writes; empty where nothing is promised.
#[must_use]
pub fn output_schema<T: ToolOutput>() -> String {
    let generator = settings().for_serialize().into_generator();
    T::schema(generator).map_or_else(String::new, |schema| schema.as_value().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Page {
        /// Where it is.
        url: String,
    }

    #[test]
    fn an_input_schema_says_what_is_refused_and_what_each_field_means() {
        let schema: serde_json::Value = serde_json::from_str(&input_schema::<Page>()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["url"]["description"], "Where it is.");
        assert!(schema.get("$schema").is_none());
    }

    #[test]
    fn an_answer_promises_no_form_and_a_reply_that_of_its_value() {
        assert_eq!(output_schema::<Answer>(), "");
        assert_eq!(output_schema::<Reply<Page>>(), output_schema::<Page>());
    }

    #[test]
    fn a_reply_carries_its_parts() {
        let answer = Reply::new(1).text("one").into_answer().unwrap();
        assert_eq!((answer.value.as_str(), answer.parts.len()), ("1", 1));
    }

    #[test]
    fn an_authors_error_keeps_its_class() {
        struct Busy;
        impl From<Busy> for Error {
            fn from(_: Busy) -> Self {
                Self::transient("busy")
            }
        }
        let returned = Err::<(), Busy>(Busy).returned();
        assert!(matches!(returned, Err(Error::Transient(_))));
    }
}
