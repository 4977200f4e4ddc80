//! Frames out of a stream of events (WHATWG HTML, "server-sent events"), whole.

/// The data of each event that has any. What follows the last blank line was not sent whole.
pub(crate) fn data(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut events, mut data) = (Vec::new(), Vec::new());
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    let whole = unix
        .rfind("\n\n")
        .map_or("", |end| unix.get(..end + 2).unwrap_or(""));
    for line in whole.split('\n') {
        if line.is_empty() {
            if !data.is_empty() {
                events.push(data.join("\n"));
                data.clear();
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::data;

    #[test]
    fn half_an_event_is_none() {
        assert_eq!(data("data: {\"a\":1}"), Vec::<String>::new());
        assert_eq!(data("data: a\n\ndata: b\n"), ["a"]);
    }

    #[test]
    fn reads_lines_with_all_three_ends_and_joins_the_data_of_one_event() {
        let text = ": hello\r\nevent: message\r\ndata: a\r\ndata:b\r\n\r\nid: 7\rdata: c\r\r";
        assert_eq!(data(text), ["a\nb", "c"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(data|id|event|retry|[:\r\n ]|.){0,80}") {
            let _events = data(&text);
        }
    }
}
