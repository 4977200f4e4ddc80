//! Prints how well the detector does on its two tables, and each line that it gets wrong:
//! `cargo run -p flowhost-detect --example table`.

#![expect(clippy::print_stdout, reason = "an example prints")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;

fn main() {
    let score = corpus::score();
    for line in &score.missed {
        println!("missed {line}");
    }
    for line in &score.wrong {
        println!("wrong  {line}");
    }
    println!(
        "{} strings with something, {} without: recall {:.4}, precision {:.4}",
        score.positives,
        score.negatives,
        score.recall(),
        score.precision()
    );
}
