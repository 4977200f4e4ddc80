//! The tools of the book's page of recipes, in one plugin. A test builds it, runs its plan, and holds the page's
//! snippets against this file.

use std::str::FromStr;

use flowhost_sdk as flowhost;

use flowhost::{Error, files, http, model, progress, state};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct City {
    city: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Weather {
    celsius: f64,
}

/// The weather of a city.
#[flowhost::tool(effects = "none", read_only, open_world)]
fn weather(input: City) -> Result<Weather, Error> {
    let url = format!("https://api.example.com/weather/{}", input.city);
    http::get(url)?.success()?.json()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Folder {
    folder: String,
}

/// First lines of the Markdown files of a folder.
#[flowhost::tool(effects = "none", read_only)]
fn titles(input: Folder) -> Result<Vec<String>, Error> {
    let mut titles = Vec::new();
    for entry in files::list(&input.folder)? {
        let path = format!("{}/{}", input.folder, entry.name);
        if entry.name.ends_with(".md") {
            let text = files::read_text(&path)?;
            titles.push(text.lines().next().unwrap_or_default().to_owned());
        }
    }
    Ok(titles)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

/// Counts how often a name was seen, over all calls.
#[flowhost::tool(effects = "keyed")]
fn seen(input: Name) -> Result<u64, Error> {
    let entry = state::get("seen", &input.name)?;
    let (count, revision) = match &entry {
        Some(entry) => (u64::from_str(&String::from_utf8_lossy(&entry.value)).map_err(Error::failed)?, entry.revision.as_str()),
        None => (0, ""),
    };
    let next = (count + 1).to_string();
    // Refused if somebody else has written since: an empty revision stands for a key that is not there.
    match state::compare_and_swap("seen", &input.name, revision, next.as_bytes())? {
        Some(_) => Ok(count + 1),
        None => Err(Error::conflict("another call counted at the same time")),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    question: String,
}

/// Asks a model for one sentence.
#[flowhost::tool(effects = "none")]
fn ask(input: Question) -> Result<String, Error> {
    let prompt = format!("Answer in one sentence: {}", input.question);
    model::ask("mock/any", &prompt)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pages {
    pages: Vec<String>,
}

/// Counts words, page by page, and says how far it is.
#[flowhost::tool(effects = "none", read_only)]
fn count(input: Pages) -> Result<usize, Error> {
    let all = input.pages.len() as f64;
    let mut words = 0;
    for (done, page) in input.pages.iter().enumerate() {
        progress(done as f64, Some(all), "counting");
        words += page.split_whitespace().count();
    }
    Ok(words)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pick {
    from: Vec<String>,
    index: usize,
}

/// One of a list.
#[flowhost::tool(effects = "none", read_only)]
fn pick(input: Pick) -> Result<String, Error> {
    let found = input.from.get(input.index);
    found.cloned().ok_or_else(|| {
        Error::invalid(format!("`index` is {}, the list has {} entries", input.index, input.from.len()))
    })
}

flowhost::export_tools!(weather, titles, seen, ask, count, pick);
