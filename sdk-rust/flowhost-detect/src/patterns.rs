//! The list of what is looked for: one line each, from the provider's own description of its keys.
//! Group 1 is what was found; around it stand the letters that must not touch it.

use crate::Kind;
use crate::card::is_card;
use crate::phone::is_phone;

/// One thing to look for.
pub(crate) struct Source {
    pub(crate) kind: Kind,
    pub(crate) label: &'static str,
    pub(crate) needle: &'static str,
    pub(crate) pattern: &'static str,
    pub(crate) accept: fn(&str) -> bool,
}

const fn key(label: &'static str, needle: &'static str, pattern: &'static str) -> Source {
    Source {
        kind: Kind::Key,
        label,
        needle,
        pattern,
        accept: |_| true,
    }
}

/// Everything that is looked for.
pub(crate) const ALL: &[Source] = &[
    key("aws-access-key", "A", r"\b((?:AKIA|ASIA)[A-Z2-7]{16})\b"),
    key("github-token", "gh", r"\b(gh[pousr]_[A-Za-z0-9]{36,})\b"),
    key(
        "github-token",
        "github_pat_",
        r"\b(github_pat_[A-Za-z0-9_]{22,})\b",
    ),
    key("gitlab-token", "glpat-", r"\b(glpat-[A-Za-z0-9_-]{20,})"),
    key("anthropic-key", "sk-ant-", r"\b(sk-ant-[A-Za-z0-9_-]{24,})"),
    key(
        "openai-key",
        "sk-",
        r"\b(sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,})",
    ),
    key("google-api-key", "AIza", r"\b(AIza[A-Za-z0-9_-]{35})"),
    key(
        "google-oauth-secret",
        "GOCSPX-",
        r"\b(GOCSPX-[A-Za-z0-9_-]{28})",
    ),
    key("slack-token", "xox", r"\b(xox[abeoprs]-[A-Za-z0-9-]{10,})"),
    key(
        "stripe-key",
        "_",
        r"\b((?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,})\b",
    ),
    key("npm-token", "npm_", r"\b(npm_[A-Za-z0-9]{36})\b"),
    key("pypi-token", "pypi-", r"\b(pypi-[A-Za-z0-9_-]{50,})"),
    key("huggingface-token", "hf_", r"\b(hf_[A-Za-z0-9]{30,})\b"),
    key(
        "sendgrid-key",
        "SG.",
        r"\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})",
    ),
    key(
        "digitalocean-token",
        "do",
        r"\b(do[oprt]_v1_[a-f0-9]{64})\b",
    ),
    key(
        "shopify-token",
        "shp",
        r"\b(shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})\b",
    ),
    key(
        "telegram-token",
        ":",
        r"\b([0-9]{8,10}:AA[A-Za-z0-9_-]{33})",
    ),
    key(
        "json-web-token",
        "eyJ",
        r"\b(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,})",
    ),
    key(
        "private-key",
        "PRIVATE KEY",
        r"(-----BEGIN (?:[A-Z]{1,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:(?:[^-]|-[^-])*-----END [A-Z ]{1,40}-----)?)",
    ),
    Source {
        kind: Kind::Card,
        label: "card",
        needle: "",
        pattern: r"(?:^|[^0-9A-Za-z.-])((?:[0-9][ -]?){12,18}[0-9])\b",
        accept: is_card,
    },
    Source {
        kind: Kind::Email,
        label: "email",
        needle: "@",
        pattern: r"(?:^|[^A-Za-z0-9._%+-])([A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24})",
        accept: |_| true,
    },
    Source {
        kind: Kind::Phone,
        label: "phone",
        needle: "",
        pattern: r"(?:^|[^0-9A-Za-z+/._-])(\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,4}\)?){2,5}|\(?[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4}|\(?0[0-9]{2,4}\)?[ /-][0-9]{5,8})\b",
        accept: is_phone,
    },
];
