//! Plain tables for people, and comma-separated values for their spreadsheets.

use comfy_table::{ContentArrangement, Table, presets};
use flowhost::output::neutral;

/// Columns by spaces alone, so that a pipe gets what a terminal shows.
pub(super) fn plain_table(header: &[&str]) -> Table {
    let mut table = plain_rows();
    table.set_header(header);
    table
}

/// The same without a header.
pub(super) fn plain_rows() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// RFC 4180: a header and rows, every line ended by a carriage return and a line feed. What a terminal would obey is
/// escaped inside the cells.
pub(super) fn csv<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows = rows.into_iter().map(|row| row.map(|cell| quoted(&cell)));
    let lines = std::iter::once(header.map(str::to_owned)).chain(rows);
    lines
        .map(|line| format!("{}\r\n", line.join(",")))
        .collect()
}

/// A number as CSV has it; nothing where it is not known.
pub(super) fn cell(value: Option<f64>) -> String {
    // As exact as it is: who reads CSV goes on computing.
    value.map(|it| it.to_string()).unwrap_or_default()
}

/// A cell with a comma, a quote or an end of line stands in quotes, its own quotes twice. One that a spreadsheet would
/// take for a formula begins with an apostrophe: names come from files of strangers.
fn quoted(cell: &str) -> String {
    // A negative number begins so as well, and is one.
    let formula = cell.starts_with(['=', '+', '-', '@', '\t']) && cell.parse::<f64>().is_err();
    let cell = match formula {
        true => neutral(&format!("'{cell}")),
        false => neutral(cell),
    };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_or_cut_is_quoted_and_numbers_stay() {
        let rows = [
            ["=1+1".to_owned(), "-0.5".to_owned()],
            ["a,\"b".to_owned(), String::new()],
        ];
        assert_eq!(
            csv(["name", "n"], rows),
            "name,n\r\n'=1+1,-0.5\r\n\"a,\"\"b\",\r\n"
        );
    }
}
