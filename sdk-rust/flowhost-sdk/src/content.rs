//! A tool's content: short ways to make its parts, and to read the text in them.

use crate::{Answer, Body, Part, ResourceData};

impl Part {
    /// Text, for everyone.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            body: Body::Text(text.into()),
            hints: None,
        }
    }
}

impl Answer {
    /// Parts without a value.
    #[must_use]
    pub fn parts(parts: Vec<Part>) -> Self {
        Self {
            value: "null".to_owned(),
            parts,
        }
    }

    /// What can be read of the parts, in their order: texts, and texts that came along as resources.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match &part.body {
            Body::Text(text) => Some(text.as_str()),
            Body::EmbeddedResource(found) => match &found.data {
                ResourceData::Text(text) => Some(text.as_str()),
                ResourceData::Blob(_) => None,
            },
            Body::Image(_) | Body::Audio(_) | Body::ResourceLink(_) => None,
        })
    }
}
