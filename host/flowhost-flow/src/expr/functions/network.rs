//! Network addresses: `ip('10.0.0.1')`, `cidr('10.0.0.0/8')`.
//!
//! They read and compare what is written; nothing is looked up. An IPv4 address that is written as an
//! IPv6 one is the IPv4 address: two spellings of one address must not be two addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::effort::Meter;
use crate::expr::fault::Fault;
use crate::expr::functions::{Called, Function};
use crate::expr::pattern::Patterns;
use crate::expr::value::Val;

/// A network: an address, and the length of the prefix that its members share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Network {
    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        // A prefix of an IPv4 address in IPv6 clothes would count other bits than it seems to.
        if address.to_canonical() != address {
            return None;
        }
        // `parse` would take a sign.
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| digits)?;
        (prefix <= bits_of(address)).then_some(Self { address, prefix })
    }

    fn masked(self) -> Self {
        let hidden = u32::from(bits_of(self.address) - self.prefix);
        let address = match self.address {
            IpAddr::V4(address) => {
                // None for all 32: a shift by the width of a number is none.
                let mask = u32::MAX.checked_shl(hidden).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(hidden).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, ..self }
    }

    fn contains(self, other: Self) -> bool {
        let within = Self {
            prefix: self.prefix,
            ..other
        };
        bits_of(self.address) == bits_of(other.address)
            && self.prefix <= other.prefix
            && self.masked() == within.masked()
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    // As in CEL: with dots it is refused, because readers disagree of which kind it is; in groups it is the IPv4 address.
    let dressed = address.to_canonical() != address && text.contains('.');
    (!dressed).then(|| address.to_canonical())
}

const NO_ADDRESS: Fault<'static> = Fault::Said("the text is not an IP address");
const NO_NETWORK: Fault<'static> = Fault::Said("the text is not a network such as 10.0.0.0/8");

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    _: &mut Patterns,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    meter.charge(4)?;
    for arg in args {
        if let Val::Text(text) = arg {
            meter.scan(text.len())?;
        }
    }
    Ok(Some(match (function, args) {
        (Function::Ip, [Val::Text(text)]) => Val::Ip(address(text).ok_or(NO_ADDRESS)?),
        (Function::Ip, [Val::Network(network)]) => Val::Ip(network.address),
        (Function::Cidr, [Val::Text(text)]) => Val::Network(Network::read(text).ok_or(NO_NETWORK)?),
        (Function::IsIp, [Val::Text(text)]) => Val::Bool(address(text).is_some()),
        (Function::IsCidr, [Val::Text(text)]) => Val::Bool(Network::read(text).is_some()),
        (Function::IsCanonical, [Val::Text(text)]) => {
            let address = address(text).ok_or(NO_ADDRESS)?;
            Val::Bool(address.to_string() == **text)
        }
        (Function::PrefixLength, [Val::Network(network)]) => Val::Int(network.prefix.into()),
        (Function::Masked, [Val::Network(network)]) => Val::Network(network.masked()),
        (Function::ContainsIp, [Val::Network(network), ip]) => {
            let address = match ip {
                Val::Ip(address) => *address,
                Val::Text(text) => address(text).ok_or(NO_ADDRESS)?,
                _ => return Ok(None),
            };
            let prefix = bits_of(address);
            Val::Bool(network.contains(Network { address, prefix }))
        }
        (Function::ContainsCidr, [Val::Network(network), other]) => {
            let other = match other {
                Val::Network(other) => *other,
                Val::Text(text) => Network::read(text).ok_or(NO_NETWORK)?,
                _ => return Ok(None),
            };
            Val::Bool(network.contains(other))
        }
        (_, [Val::Ip(address)]) => return Ok(property(function, *address)),
        _ => return Ok(None),
    }))
}

fn property<'a>(function: Function, address: IpAddr) -> Option<Val<'a>> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    Some(Val::Bool(match function {
        Function::Family => {
            return Some(Val::Int(if address.is_ipv4() { 4 } else { 6 }));
        }
        Function::IsUnspecified => address.is_unspecified(),
        Function::IsLoopback => address.is_loopback(),
        Function::IsLinkLocalUnicast => link_local,
        Function::IsLinkLocalMulticast => match address {
            IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
            // Whatever its flags are: the scope alone says how far it goes.
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        },
        Function::IsGlobalUnicast => {
            let special = address.is_unspecified() || address.is_loopback();
            !(special || address.is_multicast() || link_local || broadcast)
        }
        _ => return None,
    }))
}
