//! How a server says that it wants to know who asks: `WWW-Authenticate` (RFC 9110, section 11.6.1), which registries of
//! components and MCP servers answer with alike.

use std::collections::BTreeMap;

/// Bytes of the header: longer ones are no server's that means to be answered.
const CHALLENGE_BYTES_MAX: usize = 4096;

/// One way to say who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Its name, in lower case.
    pub scheme: String,
    /// Its parameters; their names are in lower case.
    pub parameters: BTreeMap<String, String>,
}

/// The challenges of one header; none where it cannot be read to its end, or a parameter stands twice.
///
/// # Examples
///
/// ```
/// use flowhost_words::challenges;
///
/// let found = challenges("Basic realm=x, Bearer scope=\"a b\"");
/// assert_eq!(found[1].scheme, "bearer");
/// assert_eq!(found[1].parameters["scope"], "a b");
/// assert!(challenges("Bearer scope=\"a").is_empty());
/// ```
#[must_use]
pub fn challenges(header: &str) -> Vec<Challenge> {
    if header.len() > CHALLENGE_BYTES_MAX {
        return Vec::new();
    }
    read(header).unwrap_or_default()
}

fn read(mut text: &str) -> Option<Vec<Challenge>> {
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let end = text.find([' ', '\t', ',', '=']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let Some(value) = rest.trim_start().strip_prefix('=') else {
            found.push(Challenge {
                scheme: word.to_ascii_lowercase(),
                parameters: BTreeMap::new(),
            });
            text = rest;
            continue;
        };
        let value = value.trim_start();
        let (value, rest) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = value.find([' ', '\t', ',']).unwrap_or(value.len());
                let (value, rest) = value.split_at(end);
                (value.to_owned(), rest)
            }
        };
        // A parameter before any scheme is of none.
        let challenge = found.last_mut()?;
        let name = word.to_ascii_lowercase();
        if word.is_empty() || challenge.parameters.insert(name, value).is_some() {
            return None;
        }
        text = rest;
    }
}

/// A quoted string up to its closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_read_whole() {
        for header in [
            "",
            " , ",
            "Bearer realm=\"x",
            "Bearer realm=\"x\\",
            "Bearer realm=\"x\", REALM=\"y\"",
            "realm=\"x\"",
            "=x",
            "Bearer =x",
        ] {
            assert_eq!(challenges(header), [], "{header}");
        }
        let long = format!("Bearer realm=\"{}\"", "x".repeat(CHALLENGE_BYTES_MAX));
        assert_eq!(challenges(&long), []);
    }

    #[test]
    fn reads_several_with_quotes_escapes_and_bare_words() {
        let found = challenges(
            "Negotiate, bearer realm=\"a, b=c\", service=reg , SCOPE = \"x\\\"y\" Basic realm=z",
        );
        let schemes: Vec<&str> = found.iter().map(|it| it.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "bearer", "basic"]);
        let bearer = &found[1].parameters;
        assert_eq!(bearer["realm"], "a, b=c");
        assert_eq!(bearer["service"], "reg");
        assert_eq!(bearer["scope"], "x\"y");
        assert_eq!(found[2].parameters["realm"], "z");
    }
}
