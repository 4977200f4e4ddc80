//! Log lines from their fields, whatever span these came from; and the form that is JSON: one object a
//! line, reserved fields at the top.
//!
//! Must never fail a run: a line that cannot be written is lost.

use std::fmt::Debug;
use std::io::Write as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::output::neutral;

/// Writes each event as one line: `level`, `target`, `message` and all fields of the event and of the
/// spans around it, where the innermost wins, in the form that `form` gives them.
pub struct Lines<W, F> {
    writer: W,
    form: F,
}

impl<W, F> Lines<W, F> {
    /// Lines of that form.
    pub fn new(writer: W, form: F) -> Self {
        Self { writer, form }
    }
}

/// One JSON object.
#[must_use]
pub fn json(fields: Map<String, Value>) -> String {
    Value::Object(fields).to_string()
}

/// The fields of a span, kept beside it as they came, or those of an event. A step has a span and most steps have no
/// line, so that what a line needs is done when there is one.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl<S, W, F> Layer<S> for Lines<W, F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
    F: Fn(Map<String, Value>) -> String + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        let spans = context.event_scope(event).into_iter();
        // From the outermost, so that an inner span's field stands in the place of an outer one's.
        for span in spans.flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields.write(&mut line);
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        // After the event's own fields, and over them: a plugin's field called `level` must not say what level its
        // line has.
        fields.put("level", metadata.level().as_str());
        // The same under the name that collectors look for (OpenTelemetry's severity text).
        fields.put("severity", metadata.level().as_str());
        fields.put("target", metadata.target());
        fields.write(&mut line);
        let mut text = (self.form)(line);
        text.push('\n');
        // One write for the whole line: two processes that share a terminal or a file do not write into each other's.
        let _closed = self.writer.make_writer().write_all(text.as_bytes());
    }
}

impl Fields {
    fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Writes them into a line, over those of the spans around: texts with nothing in them that a terminal, or a
    /// reader of lines, would obey.
    fn write(&self, line: &mut Map<String, Value>) {
        for (name, value) in &self.0 {
            let value = match value {
                Value::String(text) => Value::from(neutral(text)),
                other => other.clone(),
            };
            line.insert((*name).to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(act: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::registry().with(Lines::new(move || writer.clone(), json));
        tracing::subscriber::with_default(subscriber, act);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_that_tries_to_be_two_stays_one() {
        let lines = lines(|| tracing::warn!(plugin = "a\n{\"level\":\"x\"}", "one\ntwo\u{202e}"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "one\ntwo\\u{202e}");
        assert_eq!(lines[0]["level"], "WARN");
    }

    #[test]
    fn fields_of_the_spans_around_stand_at_the_top_and_the_innermost_wins() {
        let lines = lines(|| {
            let run = tracing::error_span!("run", run_id = "r", span_id = "outer").entered();
            let step = tracing::error_span!("step", span_id = "inner", step_id = "s").entered();
            tracing::info!(outcome = "ok", "done");
            drop((step, run));
        });
        let line = &lines[0];
        for (name, value) in [("run_id", "r"), ("span_id", "inner"), ("step_id", "s")] {
            assert_eq!(line[name], value);
        }
        assert_eq!(
            (&line["outcome"], &line["message"]),
            (&"ok".into(), &"done".into())
        );
    }
}
