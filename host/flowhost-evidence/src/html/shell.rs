//! What stands around every page that is left for people: its head with the policy, the contents, the sections, the foot.
//!
//! One place, because a page is only as safe as the policy in its head: nothing may be loaded, run or sent but what
//! stands in the page itself and is named there by its hash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::words;
use crate::text::neutral;

/// A page but for what it is about.
pub(super) struct Shell<'a> {
    pub(super) title: &'a str,
    /// All of its style.
    pub(super) style: &'a str,
    /// The only script that may run. A page that has one may make pictures of its own, too.
    pub(super) script: Option<&'a str>,
    /// Whoever shows the page asks for it again so often.
    pub(super) refresh_s: Option<u32>,
    /// The words of the link that leads past the contents.
    pub(super) skip: &'a str,
    pub(super) banner: Markup,
    /// What comes before the first section.
    pub(super) lead: Markup,
    pub(super) sections: &'a [Section],
    /// What it was made of.
    pub(super) foot: Markup,
}

impl Shell<'_> {
    /// The page as text. What evidence holds reads as itself in it: maud escapes it, and [`neutral`] shows what hides.
    pub(super) fn page(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(self.policy());
                    @if let Some(seconds) = self.refresh_s {
                        meta http-equiv="refresh" content=(seconds);
                    }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (self.title) }
                    style { (PreEscaped(self.style)) }
                }
                body {
                    a.skip href="#main" { (self.skip) }
                    (self.banner)
                    div.page {
                        (contents(self.sections))
                        main id="main" {
                            (self.lead)
                            @for section in self.sections {
                                section aria-labelledby=(section.id) {
                                    h2 id=(section.id) { (section.title) }
                                    (section.body)
                                }
                            }
                        }
                    }
                    footer { p { (self.foot) } }
                    @if let Some(script) = self.script {
                        script { (PreEscaped(script)) }
                    }
                }
            }
        };
        // `neutral` last, over the whole page: no place that takes text of a run can forget it.
        // What maud leaves of a class whose condition is false. Nothing else can read like this: a quotation mark
        // in a text of the run is escaped.
        neutral(&page.into_string().replace(" class=\"\"", ""))
    }

    fn policy(&self) -> String {
        let hash = |text: &str| BASE64.encode(Sha256::digest(text));
        let style = hash(self.style);
        let script = self
            .script
            .map(|script| format!(" script-src 'sha256-{}'; img-src data:;", hash(script)));
        let script = script.unwrap_or_default();
        format!(
            "default-src 'none'; style-src 'sha256-{style}';{script} base-uri 'none'; form-action 'none'"
        )
    }
}

fn contents(sections: &[Section]) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                @for section in sections {
                    li {
                        a href=(format!("#{}", section.id)) { (section.title) }
                        @if let Some(note) = &section.note {
                            span.count { (note) }
                        }
                    }
                }
            }
        }
    }
}

/// One part of a page.
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    /// Shown beside the title in the contents.
    note: Option<String>,
    body: Markup,
}

impl Section {
    pub(super) fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self {
            id,
            title,
            note: None,
            body,
        }
    }

    pub(super) fn count(self, count: u64) -> Self {
        self.note(words::count(count))
    }

    pub(super) fn note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }
}
