//! `messages`: to which topics a plugin may send, and which reach its mailbox.

pub(super) mod pattern;

use super::{
    list::{Texts, one_of, sorted},
    part::Part,
};
use crate::{
    ask::Ask,
    canonical::Lines,
    decision::Verdict,
    narrow::Raised,
    read::{Author, Fields, Reader, node::Node},
    rights::{Asks, Question},
    suggest::{Amendment, Outcome, Refusal},
    walk::{List, Walk},
};

/// `[messages]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagesGrant {
    /// Topic patterns the plugin may publish to; `*` is one token, `>` the rest.
    pub publish: Vec<String>,
    /// Topic patterns that reach its mailbox. The token `self` stands for the plugin's own name.
    pub subscribe: Vec<String>,
}

/// Which way a message goes, seen from the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The plugin sends it.
    Publish,
    /// It reaches the plugin's mailbox.
    Subscribe,
}

/// The right `messages`.
pub(crate) struct Messages;

const PUBLISH: Texts = Texts {
    path: "messages.publish",
    table: "messages",
    key: "publish",
    example: "topic",
    beside: "",
    is_name: pattern::is_topic,
    matches: pattern::matches,
    overlap: pattern::overlap,
};
const SUBSCRIBE: Texts = Texts {
    path: "messages.subscribe",
    key: "subscribe",
    ..PUBLISH
};

/// Whether the plugin may send to, or receive from, `wanted`: a topic without wildcards.
///
/// # Errors
///
/// [`Denied`](crate::Denied) with `messages.publish#none` or `messages.subscribe#none`, or `….name`
/// when it is not a topic.
pub fn decide_topic<'a>(
    grant: &'a MessagesGrant,
    direction: Direction,
    wanted: &str,
) -> Verdict<'a, String> {
    match direction {
        Direction::Publish => PUBLISH.decide(&grant.publish, wanted),
        Direction::Subscribe => SUBSCRIBE.decide(&grant.subscribe, wanted),
    }
}

impl Part for Messages {
    type Granted = MessagesGrant;
    type Asked = Ask<MessagesGrant>;

    const CAPABILITY: &'static str = "messaging";
    const LINES: &'static str = "[messages]\npublish = [\"topic\"]";
    const KEYS: &'static [&'static str] = &["publish", "subscribe"];
    const QUESTIONS: &'static [Question] = &[
        Question::new("publish", "topic", |grants, text, _| {
            PUBLISH.rule(&grants.messages.publish, text)
        }),
        Question::new("subscribe", "topic", |grants, text, _| {
            SUBSCRIBE.rule(&grants.messages.subscribe, text)
        }),
    ];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> MessagesGrant {
        reader.table(fields, "messages", table).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<MessagesGrant> {
        reader.asked(fields, "messages", author, table)
    }

    fn passed_on(granted: &MessagesGrant) -> Ask<MessagesGrant> {
        Ask::Only(granted.clone())
    }

    fn holds(granted: &MessagesGrant) -> bool {
        !granted.publish.is_empty() || !granted.subscribe.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &MessagesGrant,
        pick: fn(&Asks) -> &Ask<MessagesGrant>,
    ) -> MessagesGrant {
        MessagesGrant {
            publish: topics(walk, PUBLISH, &granted.publish, pick, |it| &it.publish),
            subscribe: topics(walk, SUBSCRIBE, &granted.subscribe, pick, |it| {
                &it.subscribe
            }),
        }
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<MessagesGrant>, granted: &MessagesGrant) {
        if let Ask::Only(messages) = asked {
            PUBLISH.raises(raised, &messages.publish, &granted.publish);
            SUBSCRIBE.raises(raised, &messages.subscribe, &granted.subscribe);
        }
    }

    fn write(lines: &mut Lines, granted: &MessagesGrant) {
        PUBLISH.write(lines, &granted.publish);
        SUBSCRIBE.write(lines, &granted.subscribe);
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        match PUBLISH.add(amendment, refusal) {
            None => SUBSCRIBE.amend(amendment, refusal),
            added => Outcome::written(added),
        }
    }

    fn allows(granted: &MessagesGrant, plugin: &str, refusal: &Refusal<'_>) -> bool {
        let own = own_token(plugin);
        PUBLISH.allows(&resolved(&granted.publish, &own), refusal)
            || SUBSCRIBE.allows(&resolved(&granted.subscribe, &own), refusal)
    }
}

/// As [`Texts::narrow`], after `self` has become the plugin's name everywhere.
fn topics(
    walk: &mut Walk<'_>,
    list: Texts,
    granted: &[String],
    pick: fn(&Asks) -> &Ask<MessagesGrant>,
    topics: fn(&MessagesGrant) -> &Vec<String>,
) -> Vec<String> {
    let own = own_token(&walk.narrowing.plugin);
    let asked: Vec<Ask<Vec<String>>> = walk
        .sources
        .iter()
        .map(|source| match pick(source.asks) {
            Ask::None => Ask::None,
            Ask::Granted => Ask::Granted,
            Ask::Only(messages) => Ask::Only(resolved(topics(messages), &own)),
        })
        .collect();
    let lists = asked.iter().map(List::whole).collect();
    sorted(walk.met(&resolved(granted, &own), lists, &list))
}

/// The plugin's name in its own plan as one token of a topic: messages stay in their plan, so those
/// of a sub-plan (`inner.yaml::name`) call each other by name.
fn own_token(plugin: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    // The innermost: the last part of the path of sub-plans.
    let name = plugin.rsplit("::").next().unwrap_or(plugin);
    name.chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect()
}

fn resolved(topics: &[String], own: &str) -> Vec<String> {
    let with_own = |topic: &String| {
        let tokens: Vec<&str> = topic
            .split('.')
            .map(|token| if token == "self" { own } else { token })
            .collect();
        tokens.join(".")
    };
    topics.iter().map(with_own).collect()
}

/// Reads the table.
fn table(reader: &mut Reader, node: &Node, path: &str) -> Option<MessagesGrant> {
    let fields = reader.fields(node, path, Messages::KEYS)?;
    let rule = "a topic is tokens of letters, digits, `-` and `_` between dots; `*` is one token, \
                `>` the rest";
    let check = one_of(pattern::is_pattern, rule);
    Some(MessagesGrant {
        publish: reader.texts(&fields, "publish", &check),
        subscribe: reader.texts(&fields, "subscribe", &check),
    })
}
