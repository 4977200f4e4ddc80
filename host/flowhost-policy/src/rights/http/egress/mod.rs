//! Where a plugin's requests may go.
//!
//! The attack: a plugin, or a page it read, names a place that the operator never meant: another
//! scheme or port, a look-alike name, a path that climbs out of its prefix, a name that resolves
//! into the private network. The defence has three pure steps, and the sender must take all three:
//! [`Target::parse`] (two parsers, one canonical form), [`decide_http`] (rules of the profile) and,
//! once the host has resolved the name, [`check_addresses`] (every answer, before connecting).
//! Nothing here resolves, connects or remembers.

mod address;
mod authority;
mod names;
mod path;
pub(crate) mod rule;
mod target;

use std::net::IpAddr;

pub use address::{AddressClass, Blocked, blocked};
use flowhost_words::PRIVATE_NETWORK_OPTION;
pub(crate) use target::is_method;
pub use target::{Target, URL_BYTES_MAX};

use crate::{
    decision::{Allowed, Denied, Verdict},
    rights::http::HttpRule,
    text::quoted,
};

/// Most addresses that one name may have. More is an attack on the check or a broken zone.
pub const ADDRESSES_MAX: usize = 64;

/// The first rule that names the target's place and method.
///
/// Allocates nothing when it allows.
///
/// # Errors
///
/// [`Denied`]: `http#none` when no rule names the place, `http[i].methods` when rule `i` is the
/// first to name the place but not the method, `egress.local-name` when the name means this
/// network and no rule writes it out.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{HttpRule, egress::{Target, decide_http}};
///
/// let rules = [HttpRule::new("https://api.example.com/v1/", &["GET"]).unwrap()];
/// let inside = Target::parse("https://api.example.com/v1/users", "GET").unwrap();
/// assert_eq!(decide_http(&rules, &inside).unwrap().index, 0);
/// let outside = Target::parse("https://api.example.com/v2/users", "GET").unwrap();
/// assert_eq!(decide_http(&rules, &outside).unwrap_err().rule, "http#none");
/// ```
pub fn decide_http<'a>(rules: &'a [HttpRule], target: &Target) -> Verdict<'a, HttpRule> {
    // Told only when no later rule has the method: several rules may name one place.
    let mut wrong_method = None;
    for (index, grant) in rules.iter().enumerate() {
        if !rule::covers(&grant.url, target) {
            continue;
        }
        if grant.methods.iter().any(|method| method == target.method()) {
            return Ok(Allowed { index, grant });
        }
        wrong_method = wrong_method.or(Some((index, grant)));
    }
    Err(no_rule(target, wrong_method))
}

fn no_rule(target: &Target, wrong_method: Option<(usize, &HttpRule)>) -> Denied {
    let (rule, cure) = match wrong_method {
        Some((index, grant)) => (format!("http[{index}].methods"), method_line(grant, target)),
        None if target.ip().is_none() && names::is_local(target.host()) => {
            ("egress.local-name".to_owned(), rule_lines(target))
        }
        None => ("http#none".to_owned(), rule_lines(target)),
    };
    Denied {
        right: "http",
        wanted: target.to_string(),
        rule,
        cure: Some(cure),
    }
}

/// What opens this machine or network where neither key is turned.
const BOTH_KEYS: &str = "private_network = true   # and the option --allow-private-network";

/// Whether the target's own text says that it is on this machine or network.
pub(super) fn means_private(target: &Target) -> bool {
    let class = target.ip().and_then(blocked).map(|line| line.class);
    let private = matches!(
        class,
        Some(
            AddressClass::Private
                | AddressClass::SharedAddress
                | AddressClass::LinkLocal
                | AddressClass::Loopback
        )
    );
    private || (target.ip().is_none() && names::is_local(target.host()))
}

/// The `methods` line of an existing rule with one more method.
fn method_line(grant: &HttpRule, target: &Target) -> String {
    let all: Vec<String> = grant
        .methods
        .iter()
        .map(String::as_str)
        .chain([target.method()])
        .map(quoted)
        .collect();
    format!("methods = [{}]", all.join(", "))
}

/// A whole `[[http]]` table for exactly this path.
fn rule_lines(target: &Target) -> String {
    let url = quoted(&format!("{}{}", target.short_origin(), target.path()));
    let table = format!(
        "[[http]]\nurl = {url}\nmethods = [{}]",
        quoted(target.method())
    );
    // Whoever adds only the table would be refused twice more, for each of the two keys.
    match means_private(target) {
        true => format!("{table}\n{BOTH_KEYS}"),
        false => table,
    }
}

/// Checks what the host's resolver answered, or the address that the URL was, and picks the one to
/// connect to.
///
/// `own` is every address of this machine. `allow_private` is the second key, from the command
/// line; the first is the rule's `private_network`. With both keys private, shared, link-local and
/// unique local addresses are allowed; loopback and the machine's own addresses only when the rule
/// is that address or network, or is `localhost` for loopback. Metadata services, multicast,
/// reserved ranges and transition forms are never allowed.
///
/// # Errors
///
/// [`Denied`] if **any** address is blocked, if there is none or are more than [`ADDRESSES_MAX`],
/// or if the rule is an address and the answer another.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{HttpRule, egress::check_addresses};
///
/// let rule = HttpRule::new("https://api.example.com/", &["GET"]).unwrap();
/// let public = "93.184.215.14".parse().unwrap();
/// let metadata = "169.254.169.254".parse().unwrap();
/// assert_eq!(check_addresses(&rule, &[public], &[], false), Ok(public));
/// assert!(check_addresses(&rule, &[public, metadata], &[], true).is_err());
/// ```
pub fn check_addresses(
    rule: &HttpRule,
    addresses: &[IpAddr],
    own: &[IpAddr],
    allow_private: bool,
) -> Result<IpAddr, Denied> {
    let keys = Keys::of(rule, allow_private);
    if addresses.len() > ADDRESSES_MAX {
        return Err(refuse(rule, "egress.too-many-addresses", None, None));
    }
    for address in addresses {
        keys.check(rule, *address, own)?;
    }
    match addresses.first() {
        // The resolver's first, and no other is tried when it does not answer: what is dialled is
        // what is on record.
        Some(first) => Ok(first.to_canonical()),
        None => Err(refuse(rule, "egress.no-address", None, None)),
    }
}

/// What the rule and the command line together open beyond the public internet.
struct Keys<'a> {
    rule: Option<rule::RuleUrl<'a>>,
    private: bool,
    allow_private: bool,
}

impl<'a> Keys<'a> {
    fn of(rule: &'a HttpRule, allow_private: bool) -> Self {
        Self {
            rule: rule::RuleUrl::of(&rule.url),
            private: rule.private_network && allow_private,
            allow_private,
        }
    }

    fn check(&self, rule: &HttpRule, address: IpAddr, own: &[IpAddr]) -> Result<(), Denied> {
        // Before the class of the address: a rule that is an address allows no other, not even a
        // public one.
        if self.written_out(address) == Some(false) {
            return Err(refuse(rule, "egress.other-address", Some(address), None));
        }
        let Some(class) = class_of(address, own) else {
            return Ok(());
        };
        if self.opens(class, address) {
            return Ok(());
        }
        Err(refuse(
            rule,
            class.rule(),
            Some(address),
            self.cure(rule, class, address),
        ))
    }

    /// Whether the rule is an address or network that holds `address`; `None` for a named rule. `localhost` is this
    /// machine's loopback whatever a name server says of it (RFC 6761): in clear text a secret goes there as well.
    fn written_out(&self, address: IpAddr) -> Option<bool> {
        let rule = self.rule?;
        if let Some(network) = rule.cidr() {
            return Some(network.contains(address));
        }
        if rule.host == "localhost" {
            return Some(address.to_canonical().is_loopback());
        }
        rule::literal(rule.host).map(|literal| literal == address.to_canonical())
    }

    fn opens(&self, class: AddressClass, address: IpAddr) -> bool {
        self.private && self.could_open(class, address)
    }

    fn could_open(&self, class: AddressClass, address: IpAddr) -> bool {
        let literal = self.written_out(address) == Some(true);
        match class {
            AddressClass::Private | AddressClass::SharedAddress | AddressClass::LinkLocal => true,
            AddressClass::Loopback | AddressClass::Own => literal,
            _ => false,
        }
    }

    fn cure(&self, rule: &HttpRule, class: AddressClass, address: IpAddr) -> Option<String> {
        if !self.could_open(class, address) {
            return None;
        }
        Some(match (rule.private_network, self.allow_private) {
            (false, true) => "private_network = true".to_owned(),
            // Two keys: whoever turns only the first would be sent back for the second.
            (false, false) => BOTH_KEYS.to_owned(),
            (true, _) => PRIVATE_NETWORK_OPTION.to_owned(),
        })
    }
}

/// A blocked class, or [`AddressClass::Own`] for this machine's public addresses.
///
/// An own address that is also private counts as own: it is this machine, not a neighbour.
fn class_of(address: IpAddr, own: &[IpAddr]) -> Option<AddressClass> {
    let class = blocked(address).map(|line| line.class);
    let is_own = own
        .iter()
        .any(|own| own.to_canonical() == address.to_canonical());
    match class {
        None
        | Some(AddressClass::Private | AddressClass::SharedAddress | AddressClass::LinkLocal)
            if is_own =>
        {
            Some(AddressClass::Own)
        }
        class => class,
    }
}

fn refuse(rule: &HttpRule, why: &str, address: Option<IpAddr>, cure: Option<String>) -> Denied {
    let wanted = match address {
        Some(address) => format!("{} at {address}", rule.url),
        None => rule.url.clone(),
    };
    Denied {
        right: "http",
        wanted,
        rule: why.to_owned(),
        cure,
    }
}
