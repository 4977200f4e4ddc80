//! Embeddings as OpenAI defines them, and as compatible servers speak them.

use serde_json::{Value, json};

use crate::{backend::Raw, fault::Fault, name::ModelName, progress::Progress, sse::Event};

use super::{
    Decoder, Request,
    calls::NAME_CHARS_MAX,
    gather::Ended,
    read::{list, number, odd, text, usage},
};

/// Numbers of one vector: four times the longest in use.
const DIMENSIONS_MAX: usize = 16_384;
const NOT_ONE_EACH: &str = "the provider did not give one embedding of one length for each text";

pub(super) fn embed(model: &ModelName, texts: &[String]) -> (Request, Box<dyn Decoder>) {
    let request = Request {
        path: "embeddings",
        // Said and not left to the server: base64, which OpenAI's own libraries ask for, would be
        // read as no list of numbers.
        body: json!({"model": model.name, "input": texts, "encoding_format": "float"}),
        sent: crate::compat::Features::NONE,
    };
    let decoder = Embed {
        wanted: texts.len(),
        vectors: Vec::new(),
        answered_by: String::new(),
    };
    (request, Box::new(decoder))
}

struct Embed {
    wanted: usize,
    vectors: Vec<Vec<f64>>,
    answered_by: String,
}

impl Decoder for Embed {
    fn event(&mut self, _: &Event, _: &mut Progress) -> Result<(), Fault> {
        Err(odd(
            "the provider streamed an answer that cannot be streamed",
        ))
    }

    fn ended(&self) -> bool {
        false
    }

    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault> {
        if let Some(word) = body.get("usage") {
            progress.reported_so_far(usage(word));
            progress.whole();
        }
        let mut found: Vec<(u64, Vec<f64>)> = Vec::new();
        for (place, item) in (0_u64..).zip(list(body, "data")) {
            let vector =
                vector(item).ok_or_else(|| odd("an embedding is not a list of numbers"))?;
            // Servers that leave the index out keep the order.
            found.push((number(item, "index").unwrap_or(place), vector));
        }
        found.sort_by_key(|(index, _)| *index);
        let in_order = (0_u64..)
            .zip(&found)
            .all(|(place, (index, _))| place == *index);
        let length = found.first().map_or(0, |(_, vector)| vector.len());
        let even = found.iter().all(|(_, vector)| vector.len() == length);
        if found.len() != self.wanted || !in_order || !even {
            return Err(odd(NOT_ONE_EACH));
        }
        self.vectors = found.into_iter().map(|(_, vector)| vector).collect();
        self.answered_by = text(body, "model").unwrap_or_default().to_owned();
        Ok(())
    }

    fn finish(self: Box<Self>, _: Ended, _: &mut Progress) -> Result<Raw, Fault> {
        // A stream of keep-alives alone has neither an event nor a body, and gets here all the same.
        if self.vectors.len() != self.wanted {
            return Err(odd(NOT_ONE_EACH));
        }
        Ok(Raw::Embeddings {
            vectors: self.vectors,
            answered_by: crate::text::harmless(&self.answered_by, NAME_CHARS_MAX),
        })
    }
}

fn vector(item: &Value) -> Option<Vec<f64>> {
    let numbers = list(item, "embedding");
    let fits = (1..=DIMENSIONS_MAX).contains(&numbers.len());
    fits.then(|| numbers.iter().map(Value::as_f64).collect())?
}
