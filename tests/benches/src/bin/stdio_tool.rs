//! What a user would pick instead of a component: a native child process that speaks JSON lines over
//! stdio. It does the same work as the `ok_echo` guest, parses and prints JSON, and nothing else.

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: serde_json::Value = serde_json::from_str(&line?)?;
        let answer = serde_json::json!({ "id": request.get("id"), "result": request.get("input") });
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}
