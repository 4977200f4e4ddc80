//! What agents are configured to reach of their plan, looked at before a run: the tools that their models are offered,
//! and the agents that they talk with. A tool that is not there ends the run where its agent starts, and a topic that
//! no profile opens is told to a model alone, when everything before it was done and paid.
//!
//! The names are those that agents use in their `config:`: `tools`, `tool_mode` and `peers`.

use std::collections::BTreeSet;

use flowhost_policy::{Direction, MessagesGrant, ToolsGrant, decide_tool, decide_topic};
use flowhost_words::PluginKind;
use serde_json::Value;

use crate::base::finding::Finding;
use crate::before::agents::takes;
use crate::before::functions::of_its_tools;
use crate::before::guesses::{self, Guesses};
use crate::before::offers::Offers;
use crate::before::preflight::Preflight;
use crate::before::rights;
use crate::given::project::{Member, Project, at_part};
use crate::plugins::router::prefix;

/// Adds what an agent cannot reach: what is not there, and what its profile does not grant.
pub(crate) fn look(project: &Project, offers: &Offers, found: &mut Preflight) {
    let guesses = Guesses::new();
    for (key, member) in &project.members {
        if let Some(agent) = Agent::of(project, key, member) {
            let told = found.rights.len();
            agent.tools(offers, &guesses, found);
            found.rights.extend(agent.silenced());
            // What its profile grants nobody knows where that could not be read; what is not there is not there.
            if project.unjudged.contains(key) {
                found.rights.truncate(told);
            }
        }
    }
    found.others.extend(guesses.hidden(project));
}

/// Every tool of a plugin, as a configuration names them.
const ALL: &str = "*";
/// The plugin that runs programs, and its tool, which an agent with `tool_mode: code` cannot do without.
pub(crate) const CODE: &str = "code";
pub(crate) const RUN: &str = "run";

/// One agent of a plan.
struct Agent<'p> {
    project: &'p Project,
    key: &'p str,
    /// Its name in its own plan.
    name: &'p str,
    member: &'p Member,
    config: Value,
}

impl<'p> Agent<'p> {
    fn of(project: &'p Project, key: &'p str, member: &'p Member) -> Option<Self> {
        (member.decl.kind == PluginKind::Agent).then(|| Self {
            project,
            key,
            name: key.strip_prefix(prefix(key)).unwrap_or(key),
            member,
            config: serde_json::from_str(&member.config).unwrap_or_default(),
        })
    }

    /// The texts of a list of its configuration; none where that is no key of it.
    fn list(&self, key: &str) -> Vec<&str> {
        let listed = self.config.get(key).filter(|_| takes(self.member, key));
        let listed = listed.and_then(Value::as_array);
        let texts = listed.into_iter().flatten().filter_map(Value::as_str);
        texts.collect()
    }

    /// The plugins of its own plan, by their names there.
    fn neighbours(&self) -> impl Iterator<Item = (&'p str, &'p String, &'p Member)> {
        let prefix = prefix(self.key);
        let all = self.project.members.iter();
        all.filter_map(move |(key, member)| {
            let name = key.strip_prefix(prefix)?;
            (!name.contains("::")).then_some((name, key, member))
        })
    }

    /// Whether a plugin of its plan has another problem, for which nothing is known of it.
    fn is_told_of(&self, plugin: &str) -> bool {
        let prefix = prefix(self.key);
        self.project.is_unresolved(&format!("{prefix}{plugin}"))
    }

    fn part(&self, part: &str, message: &str) -> Finding {
        at_part(self.project, self.key, part, message)
    }

    /// Where what a profile grants does not arrive.
    fn explained(&self) -> String {
        let file = &self.project.file;
        format!("`flowhost policy explain {file}` shows what takes it away")
    }
}

/// A tool that a configuration names.
struct Wanted<'a> {
    /// The part of the configuration.
    part: &'static str,
    /// How it names it.
    said: String,
    plugin: &'a str,
    tool: &'a str,
}

/// What a plugin offers.
enum Offered<'a> {
    Tools(Vec<&'a str>),
    /// Only the run will know them.
    Later,
}

impl Wanted<'_> {
    fn pattern(&self) -> String {
        format!("{}/{}", self.plugin, self.tool)
    }

    fn is_none_of(&self, names: &[&str]) -> bool {
        names.is_empty() || self.tool != ALL && !names.contains(&self.tool)
    }

    /// Whether any tool that is meant may be called.
    fn is_in(&self, grant: &ToolsGrant, known: &Offered<'_>) -> bool {
        let may = |tool: &str| decide_tool(grant, &format!("{}/{tool}", self.plugin)).is_ok();
        match (self.tool, known) {
            (ALL, Offered::Tools(names)) => names.iter().any(|name| may(name)),
            (ALL, Offered::Later) => {
                let all = ToolsGrant {
                    call: vec![self.pattern()],
                };
                !grant.shared_with(&all).call.is_empty()
            }
            (tool, _) => may(tool),
        }
    }
}

impl Agent<'_> {
    fn tools(&self, offers: &Offers, guesses: &Guesses, found: &mut Preflight) {
        found.others.extend(self.both_ways());
        let grant = &self.member.effective.grants.tools;
        let mut denied = Vec::new();
        for wanted in self.wanted() {
            match self.tools_of(wanted.plugin, offers) {
                None if self.is_told_of(wanted.plugin) => {}
                None if guesses.one_more() => {
                    found.others.push(self.nobody(&wanted, offers, guesses));
                }
                Some(Offered::Tools(names)) if wanted.is_none_of(&names) => {
                    if guesses.one_more() {
                        found.others.push(self.no_tool(&wanted, &names, guesses));
                    }
                }
                Some(known) if !wanted.is_in(grant, &known) => denied.push((wanted, known)),
                None | Some(_) => {}
            }
        }
        let profile = &self.member.profile.grants.tools;
        let (taken, missing): (Vec<_>, Vec<_>) = denied
            .iter()
            .partition(|(wanted, known)| wanted.is_in(profile, known));
        let taken: Vec<&Wanted<'_>> = taken.into_iter().map(|(wanted, _)| wanted).collect();
        let missing: Vec<&Wanted<'_>> = missing.into_iter().map(|(wanted, _)| wanted).collect();
        found.rights.extend(self.withheld(&taken));
        found.rights.extend(self.not_granted(&missing));
    }

    /// Whether its model calls tools by programs.
    fn writes_programs(&self) -> bool {
        let mode = self.config.get("tool_mode").and_then(Value::as_str);
        mode == Some(CODE) && takes(self.member, "tool_mode")
    }

    /// A choice of tools that a program would not keep to.
    fn both_ways(&self) -> Option<Finding> {
        let chosen = self.config.get("tools").is_some_and(Value::is_array);
        if !self.writes_programs() || !chosen {
            return None;
        }
        let message = "config: `tools` chooses what is called directly, and with `tool_mode: code` nothing is";
        let cure = "leave `tools` out: what programs may call, [tools] of its profile says; or leave `tool_mode` out";
        Some(self.part("/config/tools", message).cure(cure))
    }

    fn wanted(&self) -> Vec<Wanted<'_>> {
        let listed = self.list("tools").into_iter().filter_map(|text| {
            // The schema tells what is not written in this way.
            let (plugin, tool) = text.split_once('/')?;
            Some(Wanted {
                part: "/config/tools",
                said: format!("`tools` names `{text}`"),
                plugin,
                tool,
            })
        });
        let runs = self.writes_programs().then(|| Wanted {
            part: "/config/tool_mode",
            said: format!("`tool_mode: {CODE}` needs `{CODE}/{RUN}`"),
            plugin: CODE,
            tool: RUN,
        });
        listed.chain(runs).collect()
    }

    /// The tools of a plugin of its plan; none where no plugin of this name has tools.
    fn tools_of<'a>(&'a self, plugin: &str, offers: &'a Offers) -> Option<Offered<'a>> {
        let (_, key, member) = self.neighbours().find(|(name, ..)| *name == plugin)?;
        match member.decl.kind {
            PluginKind::Tool => {
                let said = offers.tools.get(key).map(Vec::as_slice);
                let declared = member.manifest.tools.as_slice();
                let tools = said.or((!declared.is_empty()).then_some(declared));
                Some(match tools {
                    Some(tools) => {
                        Offered::Tools(tools.iter().map(|tool| tool.name.as_str()).collect())
                    }
                    None => Offered::Later,
                })
            }
            PluginKind::McpAdapter => Some(match self.project.pins.get(key) {
                Some(pins) => Offered::Tools(pins.keys().map(String::as_str).collect()),
                None => Offered::Later,
            }),
            _ => None,
        }
    }

    fn nobody(&self, wanted: &Wanted<'_>, offers: &Offers, guesses: &Guesses) -> Finding {
        let Wanted {
            part,
            said,
            plugin,
            tool,
        } = wanted;
        let message = format!("config: {said}, and the plan has no plugin `{plugin}` with tools");
        let with_tools = self.neighbours().filter(|(_, _, member)| {
            matches!(member.decl.kind, PluginKind::Tool | PluginKind::McpAdapter)
        });
        let others: Vec<&str> = with_tools.map(|(name, ..)| name).collect();
        let near = guesses.nearest(plugin, &others);
        let cure = match near {
            _ if *plugin == CODE && *tool == RUN => format!(
                "add `{CODE}: {{ kind: tool, source: \"builtin:code\", profile: NAME }}` to `plugins:`, with a profile \
                 whose [tools] say what programs may call (docs/code-mode.md)"
            ),
            Some(near) => match self.tools_of(near, offers) {
                Some(Offered::Tools(names)) if wanted.is_none_of(&names) => {
                    format!(
                        "did you mean the plugin `{near}`? {}",
                        of_its_tools(near, tool, &names, guesses)
                    )
                }
                _ => format!("did you mean `{near}/{tool}`?"),
            },
            None if others.is_empty() => {
                "add the plugin to `plugins:`, or take the tool out of `tools`".to_owned()
            }
            None => format!("plugins with tools: {}", guesses::listed(&others)),
        };
        self.part(part, &message).cure(cure)
    }

    fn no_tool(&self, wanted: &Wanted<'_>, names: &[&str], guesses: &Guesses) -> Finding {
        let Wanted {
            part,
            said,
            plugin,
            tool,
        } = wanted;
        let which = match *tool {
            ALL => String::new(),
            tool => format!(" `{tool}`"),
        };
        let message = format!("config: {said}, and `{plugin}` has no tool{which}");
        let cure = of_its_tools(plugin, tool, names, guesses);
        self.part(part, &message).cure(cure)
    }

    /// Tools that its profile grants and that do not arrive.
    fn withheld(&self, wanted: &[&Wanted<'_>]) -> Option<Finding> {
        let part = wanted.first()?.part;
        let message = format!(
            "config: its model is to be offered {}, which profile `{}` grants, and the plan or the plugin's manifest \
             takes away",
            listed(wanted.iter().map(|wanted| wanted.pattern())),
            self.member.profile.name
        );
        Some(self.part(part, &message).cure(self.explained()))
    }

    fn not_granted(&self, wanted: &[&Wanted<'_>]) -> Option<Finding> {
        let part = wanted.first()?.part;
        let profile = &self.member.profile;
        let message = format!(
            "config: its model is to be offered {}, which profile `{}` does not grant",
            listed(wanted.iter().map(|wanted| wanted.pattern())),
            profile.name
        );
        let more = wanted.iter().map(|wanted| wanted.pattern());
        let line = with_more("call", &profile.grants.tools.call, more);
        let finding = self.part(part, &message);
        let lines = format!("[tools]\n{line}");
        Some(rights::lacks(finding, self.key, self.member, lines))
    }
}

/// The mailbox of an agent of this name.
fn mailbox(name: &str) -> String {
    format!("agents.{name}.in")
}

/// The own mailbox, as a profile names it for any agent.
const OWN_MAILBOX: &str = "agents.self.in";

impl Agent<'_> {
    /// What its profile does not let through of what it says to other agents and hears of them.
    fn silenced(&self) -> Option<Finding> {
        let mut with = BTreeSet::new();
        let mut topics = BTreeSet::new();
        let (mut asks, mut asked) = (false, false);
        for (name, key, member) in self.neighbours() {
            let other = Self::of(self.project, key, member).filter(|_| name != self.name);
            let Some(other) = other else {
                continue;
            };
            let it_asks = self.list("peers").contains(&name);
            let is_asked = other.list("peers").contains(&self.name);
            // Of another agent it is not known to which topic it answers.
            if it_asks || is_asked && takes(self.member, "peers") {
                topics.insert(mailbox(name));
            }
            if it_asks || is_asked {
                with.insert(name.to_owned());
            }
            asks |= it_asks;
            asked |= is_asked;
        }
        let own = mailbox(self.name);
        let lacking = |grant: &MessagesGrant| {
            let sends = |topic: &&String| decide_topic(grant, Direction::Publish, topic).is_err();
            let unsent: Vec<String> = topics.iter().filter(sends).cloned().collect();
            let deaf = asked && decide_topic(grant, Direction::Subscribe, &own).is_err();
            (unsent, deaf)
        };
        let (unsent, deaf) = lacking(&self.member.effective.grants.messages);
        if unsent.is_empty() && !deaf {
            return None;
        }
        let profile = &self.member.profile;
        let mut cannot: Vec<String> = unsent
            .iter()
            .map(|topic| format!("send to `{topic}`"))
            .collect();
        cannot.extend(deaf.then(|| format!("hear `{own}`")));
        let message = format!(
            "by `peers` it talks with {}, and profile `{}` does not let it {}",
            listed(with.into_iter()),
            profile.name,
            cannot.join(" or ")
        );
        let granted = &profile.grants.messages;
        let (unsent, deaf) = lacking(&as_named(granted, self.name));
        let publish = (!unsent.is_empty()).then(|| with_more("publish", &granted.publish, unsent));
        let hear = || with_more("subscribe", &granted.subscribe, [OWN_MAILBOX.to_owned()]);
        let lines: Vec<String> = publish.into_iter().chain(deaf.then(hear)).collect();
        let part = match asks {
            true => "/config/peers",
            false => "/profile",
        };
        let finding = self.part(part, &message);
        Some(match lines.is_empty() {
            true => finding.cure(self.explained()),
            false => {
                let lines = format!("[messages]\n{}", lines.join("\n"));
                rights::lacks(finding, self.key, self.member, lines)
            }
        })
    }
}

/// What a profile grants an agent of this name: `self` stands for it.
fn as_named(grant: &MessagesGrant, name: &str) -> MessagesGrant {
    let named = |topics: &[String]| {
        let topics = topics.iter().map(|topic| {
            let tokens = topic.split('.');
            let tokens = tokens.map(|token| if token == "self" { name } else { token });
            tokens.collect::<Vec<_>>().join(".")
        });
        topics.collect()
    };
    MessagesGrant {
        publish: named(&grant.publish),
        subscribe: named(&grant.subscribe),
    }
}

/// The line of a list in a profile, with more than it holds.
fn with_more(key: &str, there: &[String], more: impl IntoIterator<Item = String>) -> String {
    let mut texts = there.to_vec();
    for text in more {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("{key} = [{}]", texts.join(", "))
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| format!("`{text}`")).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(call: &[&str]) -> ToolsGrant {
        ToolsGrant {
            call: call.iter().map(ToString::to_string).collect(),
        }
    }

    fn wanted<'a>(plugin: &'a str, tool: &'a str) -> Wanted<'a> {
        Wanted {
            part: "/config/tools",
            said: String::new(),
            plugin,
            tool,
        }
    }

    #[test]
    fn all_tools_of_a_plugin_are_not_granted_where_none_of_them_is() {
        let names = || Offered::Tools(vec!["list", "read"]);
        for (call, known, is_in) in [
            (&["files/write"][..], names(), false),
            (&["files/re*"], names(), true),
            (&["files/write"], Offered::Later, true),
            (&["other/*"], Offered::Later, false),
            (&[], names(), false),
        ] {
            assert_eq!(
                wanted("files", ALL).is_in(&grant(call), &known),
                is_in,
                "{call:?}"
            );
        }
        assert!(!wanted("files", "read").is_in(&grant(&["files/list"]), &names()));
        assert!(wanted("files", "read").is_in(&grant(&["files/*"]), &names()));
    }

    #[test]
    fn a_line_keeps_what_stands_there() {
        let there = ["files/*".to_owned()];
        let more = ["md/links".to_owned(), "files/*".to_owned()];
        let line = with_more("call", &there, more);
        assert_eq!(line, "call = [\"files/*\", \"md/links\"]");
    }

    #[test]
    fn self_in_a_profile_is_the_agent() {
        let grant = MessagesGrant {
            publish: vec!["agents.*.in".to_owned()],
            subscribe: vec![OWN_MAILBOX.to_owned()],
        };
        let named = as_named(&grant, "critic");
        assert_eq!(named.subscribe, [mailbox("critic")]);
        assert!(decide_topic(&named, Direction::Publish, &mailbox("writer")).is_ok());
    }
}
