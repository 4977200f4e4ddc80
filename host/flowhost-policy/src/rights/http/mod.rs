//! `http`: where a plugin's requests may go, how, and what the host adds to them.

mod amend;
pub mod egress;
mod grant;
mod meet;
mod read;

use super::part::Part;
use crate::{
    ask::Ask,
    canonical::Lines,
    decision::Denied,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::{Asks, Question},
    stranger::{Own, Taken},
    suggest::{Amendment, Outcome, Refusal},
    text::quoted,
    walk::{Kind, List, Walk},
};
use egress::{Target, check_addresses, decide_http};

pub use grant::{HttpAsk, HttpRule, Inject, LentAsk, is_login_name};

/// The right `http`.
pub(crate) struct Http;

impl Kind<HttpRule, HttpAsk> for Http {
    fn right(&self) -> &'static str {
        "http"
    }

    fn meet(&self, granted: &HttpRule, asked: &HttpAsk) -> Option<HttpRule> {
        meet::meet(granted, asked)
    }

    fn show(&self, rule: &HttpRule) -> String {
        let private = match rule.private_network {
            true => ", private_network = true",
            false => "",
        };
        format!("{} {}{private}", rule.methods.join(","), rule.url)
    }

    fn show_ask(&self, asked: &HttpAsk) -> String {
        format!("{} {}", asked.methods.join(","), asked.url)
    }

    fn cure(&self, _granted: &[HttpRule], asked: &HttpAsk) -> String {
        let methods: Vec<String> = asked.methods.iter().map(|it| quoted(it)).collect();
        format!(
            "[[http]]\nurl = {}\nmethods = [{}]",
            quoted(&asked.url),
            methods.join(", ")
        )
    }
}

impl Part for Http {
    type Granted = Vec<HttpRule>;
    type Asked = Ask<Vec<HttpAsk>>;

    const CAPABILITY: &'static str = "http";
    const LINES: &'static str = "[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]";
    const KEYS: &'static [&'static str] = &[
        "url",
        "methods",
        "inject",
        "identity",
        "response",
        "request",
        "private_network",
    ];
    const QUESTIONS: &'static [Question] = &[Question {
        takes_addresses: true,
        fault: |text| {
            let whole = text.contains(' ');
            (!whole).then_some(("is not `METHOD URL`", "write `GET https://…`"))
        },
        ..Question::new(
            "http",
            "GET https://api.example.com/",
            |grants, text, to| rule(&grants.http, text, to),
        )
    }];
    const HARD: &'static [&'static str] = &["wasi:http/outgoing-handler"];
    const SOFT: &'static [&'static str] = &["wasi:http/types"];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> Vec<HttpRule> {
        reader.tables(fields, "http", read::granted)
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<Vec<HttpAsk>> {
        reader.asked_tables(fields, "http", author, read::asked)
    }

    fn passed_on(granted: &Vec<HttpRule>) -> Ask<Vec<HttpAsk>> {
        Ask::Only(granted.iter().map(HttpAsk::from).collect())
    }

    fn holds(granted: &Vec<HttpRule>) -> bool {
        !granted.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &Vec<HttpRule>,
        pick: fn(&Asks) -> &Ask<Vec<HttpAsk>>,
    ) -> Vec<HttpRule> {
        meet::pruned(walk.items(granted, |asks| List::whole(pick(asks)), &Self))
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<Vec<HttpAsk>>, granted: &Vec<HttpRule>) {
        if let Ask::Only(rules) = asked {
            let covered = |ask: &HttpAsk| {
                let mut met = granted.iter().filter_map(|rule| meet::meet(rule, ask));
                met.any(|met| met.url == ask.url)
            };
            raised.items("http", rules, covered, |ask| ask.url.clone());
        }
    }

    /// In their order: the first that matches decides what is injected.
    fn write(lines: &mut Lines, granted: &Vec<HttpRule>) {
        for (index, rule) in granted.iter().enumerate() {
            let path = format!("http[{index}]");
            lines.text(&format!("{path}.url"), &rule.url);
            lines.list(&format!("{path}.methods"), &rule.methods);
            match &rule.inject {
                None => {}
                Some(Inject::Header { header, value }) => {
                    lines.text(&format!("{path}.inject.header"), header);
                    lines.text(&format!("{path}.inject.value"), value);
                }
                Some(Inject::Login(name)) => lines.text(&format!("{path}.inject.login"), name),
            }
            // Only where there is one: the hashes of all other profiles stay what they were.
            if let Some(identity) = &rule.identity {
                lines.text(&format!("{path}.identity"), identity);
            }
            lines.number(&format!("{path}.response"), rule.response_bytes);
            lines.number(&format!("{path}.request"), rule.request_bytes);
            lines.raw(&format!("{path}.private_network"), rule.private_network);
        }
    }

    /// What is injected are secrets and logins of the operator's, and who the host says that it is is the operator.
    fn lend(granted: &mut Vec<HttpRule>, taken: &mut Taken<'_>) {
        for (index, rule) in granted.iter_mut().enumerate() {
            if let Some(inject) = rule.inject.take() {
                let (own, name) = match inject.login() {
                    Some(login) => (Own::InjectedLogin, login.to_owned()),
                    None => {
                        let names: Vec<&str> = inject.secrets().collect();
                        (Own::InjectedSecrets, names.join(", "))
                    }
                };
                taken.push(own, format!("http[{index}].inject"), &name);
            }
            if let Some(identity) = rule.identity.take() {
                taken.push(Own::Identity, format!("http[{index}].identity"), &identity);
            }
        }
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        amend::request(amendment, refusal)
    }

    fn allows(granted: &Vec<HttpRule>, _plugin: &str, refusal: &Refusal<'_>) -> bool {
        refusal
            .wanted
            .split_once(' ')
            .and_then(|(method, url)| Target::parse(url, method).ok())
            .is_some_and(|target| decide_http(granted, &target).is_ok())
    }
}

/// The rule that decides, for a table of cases: `http[0]`. Without addresses the name alone decides.
fn rule(
    rules: &[HttpRule],
    request: &str,
    addresses: &[std::net::IpAddr],
) -> Result<String, Denied> {
    let (method, url) = request.split_once(' ').unwrap_or_default();
    let target = Target::parse(url, method)?;
    let allowed = decide_http(rules, &target)?;
    if !addresses.is_empty() {
        check_addresses(allowed.grant, addresses, &[], false)?;
    }
    Ok(format!("http[{}]", allowed.index))
}
