//! Subjects: where an envelope goes, `<tenant>.<run>.<what>.<…>`.
//!
//! The attack (MSG-014): a tenant, run or topic that holds `.`, `*` or `>` reaches into somebody
//! else's subjects, or listens on all of them. Names of the host's are therefore encoded into one
//! token each, so that no two names share one; topics, which people write with dots, are parsed
//! token by token and refused. A pattern always names its tenant.

use std::fmt;
use std::sync::Arc;

/// Longest token in bytes, encoded: a topic of the policy is no longer as a whole.
pub const TOKEN_BYTES_MAX: usize = 256;

/// Longest subject in bytes. Brokers refuse longer ones or cut them (NATS takes 4 KiB for a whole line), and each
/// subject is kept with every envelope that waits.
pub const SUBJECT_BYTES_MAX: usize = 1_024;

/// Why a text is not a subject or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// A token, or the whole, is empty.
    #[error("a subject is words with dots between them, and one of them is empty")]
    Empty,
    /// A character that would change what the subject means.
    #[error("{character:?} is not allowed in the topic token `{token}`")]
    Character {
        /// The token, escaped.
        token: String,
        /// The character.
        character: char,
    },
    /// A control character in a name.
    #[error("the name `{0}` has a control character, which a subject must not have")]
    Control(String),
    /// A token or the whole is too long.
    #[error("the subject is too long: {used} bytes, {allowed} allowed")]
    Long {
        /// Bytes wanted.
        used: usize,
        /// Bytes allowed.
        allowed: usize,
    },
    /// `>` anywhere but at the end of a pattern.
    #[error("`>` stands only at the end of a pattern: `{0}`")]
    Rest(String),
}

/// Where an envelope goes. Holds only `[A-Za-z0-9_-]`, `%` and dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject of `names` within a run; each name becomes one token, whatever it holds.
    ///
    /// # Errors
    /// [`SubjectError::Empty`], [`SubjectError::Control`] and [`SubjectError::Long`].
    ///
    /// # Examples
    ///
    /// ```
    /// let subject = flowhost_bus::Subject::of("default", "01A", &["step", "a.b", "start"])?;
    /// assert_eq!(subject.as_str(), "default.01A.step.a%2Eb.start");
    /// # Ok::<(), flowhost_bus::SubjectError>(())
    /// ```
    pub fn of(tenant: &str, run: &str, names: &[&str]) -> Result<Self, SubjectError> {
        // In one piece: what this is made of has some 80 bytes, and most names stand for themselves.
        let mut text = String::with_capacity(96);
        for name in [tenant, run].iter().chain(names) {
            if !text.is_empty() {
                text.push('.');
            }
            encode(&mut text, name)?;
        }
        bounded(text).map(Self)
    }

    /// Whether it lies below this run. Asked of every envelope that is sent, so nothing is made for the answer.
    #[must_use]
    pub fn is_within(&self, tenant: &str, run: &str) -> bool {
        let mut rest = self.0.as_ref();
        for name in [tenant, run] {
            let Some((token, behind)) = rest.split_once('.') else {
                return false;
            };
            if !is_token_of(token, name) {
                return false;
            }
            rest = behind;
        }
        true
    }

    /// The subject of a guest's dotted topic within a run: `<tenant>.<run>.topic.<topic>`.
    ///
    /// # Errors
    /// As [`Subject::of`], and [`SubjectError::Character`] for wildcards, spaces and whatever else
    /// is not `[A-Za-z0-9_-]`.
    pub fn topic(tenant: &str, run: &str, topic: &str) -> Result<Self, SubjectError> {
        let mut text = Self::of(tenant, run, &["topic"])?.0.to_string();
        for token in topic.split('.') {
            push(&mut text, plain(token)?);
        }
        bounded(text).map(Self)
    }

    /// The subject that a carrier hands back: what [`Subject::as_str`] gave, and nothing that it could not
    /// have given.
    ///
    /// # Errors
    /// [`SubjectError::Empty`], [`SubjectError::Character`] and [`SubjectError::Long`].
    ///
    /// # Examples
    ///
    /// ```
    /// let subject = flowhost_bus::Subject::parse("default.01A.step.a%2Eb.start")?;
    /// assert!(flowhost_bus::Subject::parse("default.01A.*").is_err());
    /// # Ok::<(), flowhost_bus::SubjectError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        text.split('.').try_for_each(carried)?;
        bounded(text.to_owned()).map(Self)
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which subjects a subscription takes: `*` is one token, a final `>` one or more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Exactly one subject.
    #[must_use]
    pub fn exactly(subject: &Subject) -> Self {
        Self(Arc::clone(&subject.0))
    }

    /// Subjects of one run. `rest` is made of plain tokens, `*`, and a final `>`.
    ///
    /// # Errors
    /// As [`Subject::topic`], and [`SubjectError::Rest`].
    pub fn of(tenant: &str, run: &str, rest: &str) -> Result<Self, SubjectError> {
        Self::below(Subject::of(tenant, run, &[])?.as_str(), rest)
    }

    /// Subjects of all runs of one tenant, for workers that serve them all.
    ///
    /// # Errors
    /// As [`Pattern::of`].
    pub fn all_runs(tenant: &str, rest: &str) -> Result<Self, SubjectError> {
        let mut all = String::new();
        encode(&mut all, tenant)?;
        // One token, which is a run whatever its name holds: `encode` lets no dot through.
        all.push_str(".*");
        Self::below(&all, rest)
    }

    /// Topics of one run that match a guest's dotted pattern.
    ///
    /// # Errors
    /// As [`Pattern::of`].
    pub fn topics(tenant: &str, run: &str, pattern: &str) -> Result<Self, SubjectError> {
        Self::below(Subject::of(tenant, run, &["topic"])?.as_str(), pattern)
    }

    fn below(prefix: &str, rest: &str) -> Result<Self, SubjectError> {
        let mut text = prefix.to_owned();
        let mut tokens = rest.split('.').peekable();
        while let Some(token) = tokens.next() {
            match token {
                ">" if tokens.peek().is_some() => {
                    return Err(SubjectError::Rest(rest.escape_debug().to_string()));
                }
                "*" | ">" => push(&mut text, token),
                token => push(&mut text, plain(token)?),
            }
        }
        bounded(text).map(Self)
    }

    /// The pattern that a carrier hands back: what [`Pattern::as_str`] gave. It names its tenant.
    ///
    /// # Errors
    /// As [`Subject::parse`], and [`SubjectError::Rest`].
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let mut tokens = text.split('.').enumerate().peekable();
        while let Some((place, token)) = tokens.next() {
            match token {
                // In the first place a wildcard would be all tenants, and is refused as a character
                // below.
                ">" if place > 0 && tokens.peek().is_some() => {
                    return Err(SubjectError::Rest(text.escape_debug().to_string()));
                }
                "*" | ">" if place > 0 => {}
                token => carried(token)?,
            }
        }
        bounded(text.to_owned()).map(Self)
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it holds no wildcard.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.split('.').any(|token| matches!(token, "*" | ">"))
    }

    /// Whether it takes `subject`.
    #[must_use]
    pub fn matches(&self, subject: &Subject) -> bool {
        let mut wanted = self.0.split('.');
        let mut given = subject.0.split('.');
        loop {
            match (wanted.next(), given.next()) {
                (None, None) | (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(given)) if wanted == given => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends one name as one token: bytes outside `[A-Za-z0-9_-]` become `%XX`, so that the mapping is
/// one-to-one.
fn encode(text: &mut String, name: &str) -> Result<(), SubjectError> {
    if name.is_empty() {
        return Err(SubjectError::Empty);
    }
    if name.chars().any(char::is_control) {
        return Err(SubjectError::Control(name.escape_debug().to_string()));
    }
    let start = text.len();
    if stands_for_itself(name) {
        text.push_str(name);
    } else {
        for byte in name.bytes() {
            if is_plain(char::from(byte)) {
                text.push(char::from(byte));
            } else {
                text.push('%');
                text.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    fits(text.len() - start, TOKEN_BYTES_MAX)
}

/// Whether a name and its token are the same.
fn stands_for_itself(name: &str) -> bool {
    name.chars().all(is_plain)
}

/// Whether `token` is what [`encode`] makes of `name`.
fn is_token_of(token: &str, name: &str) -> bool {
    if stands_for_itself(name) {
        return token == name && !name.is_empty();
    }
    let mut made = String::new();
    encode(&mut made, name).is_ok() && token == made
}

/// A token that people wrote: refused instead of encoded.
fn plain(token: &str) -> Result<&str, SubjectError> {
    if token.is_empty() {
        return Err(SubjectError::Empty);
    }
    fits(token.len(), TOKEN_BYTES_MAX)?;
    match token.chars().find(|character| !is_plain(*character)) {
        None => Ok(token),
        Some(character) => Err(character_of(token, character)),
    }
}

/// A token as [`encode`] makes it.
fn carried(token: &str) -> Result<(), SubjectError> {
    if token.is_empty() {
        return Err(SubjectError::Empty);
    }
    let mut rest = token.chars();
    while let Some(character) = rest.next() {
        match character {
            '%' => {
                let (high, low) = (rest.next(), rest.next());
                let digits: String = high.into_iter().chain(low).collect();
                let byte = u8::from_str_radix(&digits, 16).ok();
                // Upper case, and only for what needs it: one subject has one text.
                let canonical = byte.is_some_and(|byte| {
                    hex::encode_upper([byte]) == digits && !is_plain(char::from(byte))
                });
                if !canonical {
                    return Err(character_of(token, '%'));
                }
            }
            character if is_plain(character) => {}
            character => return Err(character_of(token, character)),
        }
    }
    fits(token.len(), TOKEN_BYTES_MAX)
}

fn character_of(token: &str, character: char) -> SubjectError {
    SubjectError::Character {
        token: token.escape_debug().to_string(),
        character,
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

fn push(text: &mut String, token: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(token);
}

fn bounded(text: String) -> Result<Arc<str>, SubjectError> {
    fits(text.len(), SUBJECT_BYTES_MAX)?;
    Ok(text.into())
}

fn fits(used: usize, allowed: usize) -> Result<(), SubjectError> {
    if used > allowed {
        return Err(SubjectError::Long { used, allowed });
    }
    Ok(())
}
