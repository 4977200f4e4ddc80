//! Tools with every kind of answer that an MCP client can be given, by the names under which the official
//! conformance suite asks for them.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{
    Answer, Body, Context, Error, Media, Part, ResourceContents, ResourceData, Tool, ToolSpec,
    progress,
};
use wasip2::clocks::monotonic_clock::subscribe_duration;

/// Longer than the host waits between two words of progress.
const PAUSE_NANOSECONDS: u64 = 250_000_000;

/// One red point.
const PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0,
    0, 0, 144, 119, 83, 222, 0, 0, 0, 12, 73, 68, 65, 84, 8, 215, 99, 248, 207, 192, 0, 0, 3, 1, 1,
    0, 24, 221, 141, 176, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];
/// A sound without a sample.
const WAV: &[u8] =
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\0\0\0\0";

struct Tools;

impl Tool for Tools {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "test_simple_text" => parts([text("This is a simple text response for testing.")]),
            "test_image_content" => parts([image()]),
            "test_audio_content" => parts([part(Body::Audio(Media {
                mime_type: "audio/wav".to_owned(),
                data: WAV.to_vec(),
            }))]),
            "test_embedded_resource" => parts([resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content.",
            )]),
            "test_multiple_content_types" => parts([
                text("Multiple content types test:"),
                image(),
                resource(
                    "test://mixed-content-resource",
                    "application/json",
                    r#"{"test":"data","value":123}"#,
                ),
            ]),
            "test_error_handling" => Err(Error::Failed(
                "This tool intentionally returns an error for testing".to_owned(),
            )),
            "test_tool_with_progress" => {
                // With time between them: the host leaves out what comes faster than anybody reads.
                for done in [0.0, 50.0, 100.0] {
                    progress(done, Some(100.0), "at work");
                    subscribe_duration(PAUSE_NANOSECONDS).block();
                }
                parts([text("done")])
            }
            "json_schema_2020_12_tool" | "echo" => Ok(Answer {
                value: input.to_owned(),
                parts: Vec::new(),
            }),
            other => Err(Error::Invalid(format!("there is no tool `{other}`"))),
        }
    }
}

fn parts<const N: usize>(parts: [Part; N]) -> Result<Answer, Error> {
    Ok(Answer {
        value: "null".to_owned(),
        parts: parts.into(),
    })
}

fn text(text: &str) -> Part {
    Part::text(text.to_owned())
}

fn image() -> Part {
    part(Body::Image(Media {
        mime_type: "image/png".to_owned(),
        data: PNG.to_vec(),
    }))
}

fn resource(uri: &str, mime_type: &str, text: &str) -> Part {
    part(Body::EmbeddedResource(ResourceContents {
        uri: uri.to_owned(),
        mime_type: mime_type.to_owned(),
        data: ResourceData::Text(text.to_owned()),
    }))
}

fn part(body: Body) -> Part {
    Part { body, hints: None }
}

flowhost_sdk::export_tool!(
    Tools,
    &[
        ToolSpec::any("test_simple_text"),
        ToolSpec::any("test_image_content"),
        ToolSpec::any("test_audio_content"),
        ToolSpec::any("test_embedded_resource"),
        ToolSpec::any("test_multiple_content_types"),
        ToolSpec::any("test_error_handling"),
        ToolSpec::any("test_tool_with_progress"),
        ToolSpec::any("json_schema_2020_12_tool"),
        ToolSpec::any("echo"),
    ]
);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
