//! The tool `books-sample`: the books of a made-up company, as sixty tools.
//!
//! Catalogues of this size are what agents meet where people connect a few servers, and what examples need that show
//! how they get along with them. Everything is made up and stands in `data/books.json`; nothing is remembered.

use std::collections::BTreeMap;

use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const BOOKS: &str = include_str!("../data/books.json");
/// Rows of a page, unless said.
const PAGE: usize = 20;

/// A row: columns with texts and numbers.
type Row = Map<String, Value>;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

fn table(name: &str) -> Result<Vec<Row>, Error> {
    let mut books: BTreeMap<String, Vec<Row>> = serde_json::from_str(BOOKS)
        .map_err(|error| Error::failed(format_args!("the books cannot be read: {error}")))?;
    books.remove(name).ok_or_else(|| Error::unknown_tool(name))
}

fn fits(row: &Row, wanted: &Row) -> bool {
    wanted
        .iter()
        .all(|(column, value)| row.get(column).is_some_and(|held| same(held, value)))
}

/// `1` and `1.0` are one number, however they were written.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < f64::EPSILON,
        _ => a == b,
    }
}

fn found(name: &str, input: &str) -> Result<Vec<Row>, Error> {
    let wanted: Row = parse(input)?;
    let mut rows = table(name)?;
    rows.retain(|row| fits(row, &wanted));
    Ok(rows)
}

fn look(tool: &str, input: &str) -> Result<Value, Error> {
    let (name, what) = tool
        .rsplit_once('_')
        .ok_or_else(|| Error::unknown_tool(tool))?;
    match what {
        "list" => {
            let page: Page = parse(input)?;
            let rows = table(name)?;
            let total = rows.len();
            let limit = page.limit.unwrap_or(PAGE);
            let rows: Vec<Row> = rows.into_iter().skip(page.offset).take(limit).collect();
            Ok(json!({ "rows": rows, "total": total }))
        }
        "get" => {
            let Id { id } = parse(input)?;
            let mut rows = table(name)?.into_iter();
            let row = rows.find(|row| row.get("id").is_some_and(|held| *held == id));
            row.map(Value::Object).ok_or_else(|| {
                Error::failed(format_args!("`{name}` has no row with the id `{id}`"))
            })
        }
        "find" => {
            let rows = found(name, input)?;
            Ok(json!({ "total": rows.len(), "rows": rows }))
        }
        "count" => Ok(json!({ "count": found(name, input)?.len() })),
        "columns" => {
            let rows = table(name)?;
            let columns: Vec<&String> = rows.first().map(Row::keys).into_iter().flatten().collect();
            Ok(json!({ "columns": columns }))
        }
        _ => Err(Error::unknown_tool(tool)),
    }
}

struct Books;

impl Tool for Books {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        answer(&look(name, input)?)
    }
}

flowhost_sdk::export_tool!(Books);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_there_and_a_tool_that_is_not_are_told() {
        assert!(
            matches!(look("rates_get", r#"{"id":"XXX"}"#), Err(Error::Failed(text)) if text.contains("`XXX`"))
        );
        assert!(look("rates_drop", "{}").is_err() && look("secrets_list", "{}").is_err());
    }

    #[test]
    fn what_is_found_has_every_value_that_was_named() {
        let rate = look("rates_get", r#"{"id":"GBP"}"#).expect("a row");
        assert_eq!(rate, json!({ "id": "GBP", "eur": 1.25 }));
        let open = look("tickets_count", r#"{"status":"open"}"#).expect("a count");
        let all = look("tickets_find", r#"{"status":"open"}"#).expect("rows");
        assert_eq!(open["count"], all["total"]);
        let one = look("rates_find", r#"{"eur":1}"#).expect("rows");
        assert_eq!(one["rows"], json!([{ "id": "EUR", "eur": 1.0 }]));
    }

    #[test]
    fn a_list_comes_by_the_page() {
        let page = look("customers_list", r#"{"offset":20,"limit":3}"#).expect("rows");
        assert_eq!(
            (page["rows"].as_array().map(Vec::len), &page["total"]),
            (Some(3), &json!(24))
        );
    }
}
