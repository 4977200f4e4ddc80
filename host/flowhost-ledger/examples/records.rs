//! Prints what the book says of records, for whoever changed a declaration:
//! `cargo run -p flowhost-ledger --example records -- table|fields|schema`.
#![expect(clippy::print_stdout, reason = "an example that prints")]

use flowhost_ledger::records::book;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    match wanted.as_str() {
        "fields" => print!("{}", book::fields_page()),
        "schema" => println!("{:#}", book::schema()),
        _ => print!("{}", book::kinds_table()),
    }
}
