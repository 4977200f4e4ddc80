//! What stands in the brackets of an attribute, checked word by word: a word that nobody reads would be
//! a promise that nobody keeps.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Lit, LitBool, LitStr, Meta, Result, Token};

/// The words of `#[tool(…)]`.
const WORDS: [&str; 7] = [
    "name",
    "title",
    "effects",
    "read_only",
    "destructive",
    "idempotent",
    "open_world",
];

/// The words after `effects =`, as in a manifest, with the variant of `flowhost_sdk::Effects`.
pub(crate) const EFFECTS: [(&str, &str); 4] = [
    ("none", "None"),
    ("idempotent", "Idempotent"),
    ("keyed", "Keyed"),
    ("once", "Once"),
];

/// The arguments of `#[tool(…)]`.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) name: Option<LitStr>,
    pub(crate) title: Option<LitStr>,
    pub(crate) effects: Option<LitStr>,
    pub(crate) read_only: Option<bool>,
    pub(crate) destructive: Option<bool>,
    pub(crate) idempotent: Option<bool>,
    pub(crate) open_world: Option<bool>,
}

impl Parse for Said {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut said = Self::default();
        let mut seen = Vec::new();
        for meta in Punctuated::<Meta, Token![,]>::parse_terminated(input)? {
            let word = word_of(&meta)?;
            if seen.contains(&word) {
                return Err(Error::new_spanned(&meta, format!("`{word}` is said twice")));
            }
            said.take(&word, &meta)?;
            seen.push(word);
        }
        Ok(said)
    }
}

impl Said {
    fn take(&mut self, word: &str, meta: &Meta) -> Result<()> {
        match word {
            "name" => self.name = Some(name(text(meta)?)?),
            "title" => self.title = Some(text(meta)?),
            "effects" => self.effects = Some(effects(text(meta)?)?),
            "read_only" => self.read_only = Some(flag(meta)?),
            "destructive" => self.destructive = Some(flag(meta)?),
            "idempotent" => self.idempotent = Some(flag(meta)?),
            "open_world" => self.open_world = Some(flag(meta)?),
            _ => return Err(unknown(word, meta)),
        }
        Ok(())
    }
}

fn word_of(meta: &Meta) -> Result<String> {
    let word = meta.path().get_ident();
    word.map(ToString::to_string)
        .ok_or_else(|| Error::new_spanned(meta, "expected a single word"))
}

fn unknown(word: &str, meta: &Meta) -> Error {
    let near = closest(word, &WORDS).map_or_else(
        || format!("expected one of {}", WORDS.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Error::new_spanned(meta, format!("a tool has no `{word}`; {near}"))
}

/// The known word that a mistyped one is nearest to.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .map(|it| (strsim::jaro_winkler(word, it), it))
        .filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, it)| it)
}

fn text(meta: &Meta) -> Result<LitStr> {
    match meta {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Ok(text.clone()),
            other => Err(Error::new_spanned(other, "expected a text in quotes")),
        },
        _ => Err(Error::new_spanned(meta, "expected `= \"…\"`")),
    }
}

/// `read_only`, `read_only = true` or `read_only = false`.
fn flag(meta: &Meta) -> Result<bool> {
    match meta {
        Meta::Path(_) => Ok(true),
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Bool(LitBool { value, .. }),
                ..
            }) => Ok(*value),
            other => Err(Error::new_spanned(other, "expected `true` or `false`")),
        },
        Meta::List(_) => Err(Error::new_spanned(meta, "expected `= true` or `= false`")),
    }
}

/// The host refuses other names; here the author sees it while writing.
fn name(text: LitStr) -> Result<LitStr> {
    let value = text.value();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if value.is_empty() || value.len() > 64 || !value.bytes().all(plain) {
        let what = "a tool's name has 1 to 64 ASCII letters, digits, `-`, `_` and `.`";
        return Err(Error::new_spanned(text, what));
    }
    Ok(text)
}

fn effects(text: LitStr) -> Result<LitStr> {
    if EFFECTS.iter().any(|(word, _)| *word == text.value()) {
        return Ok(text);
    }
    let what = "expected \"none\" (reads only), \"idempotent\" (repeating changes nothing more), \
                \"keyed\" (the same under the same `context.key`) or \"once\" (every call counts)";
    Err(Error::new_spanned(text, what))
}

/// The arguments of an attribute that takes none.
pub(crate) struct Nothing(TokenStream);

impl Parse for Nothing {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        input.parse().map(Self)
    }
}

impl Nothing {
    pub(crate) fn checked(self, attribute: &str) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let what = format!(
            "`#[{attribute}]` takes nothing: what a plugin is called and needs stands in plugin.toml"
        );
        Err(Error::new_spanned(self.0, what))
    }
}

/// The lines of an item's documentation, as one text.
pub(crate) fn documentation(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        let Expr::Lit(ExprLit {
            lit: Lit::Str(line),
            ..
        }) = &pair.value
        else {
            return None;
        };
        pair.path.is_ident("doc").then(|| {
            line.value()
                .strip_prefix(' ')
                .map_or_else(|| line.value(), str::to_owned)
        })
    });
    let lines: Vec<String> = lines.collect();
    lines.join("\n").trim().to_owned()
}

/// A text at the place of the attribute itself.
pub(crate) fn here(text: &str) -> LitStr {
    LitStr::new(text, Span::call_site())
}
