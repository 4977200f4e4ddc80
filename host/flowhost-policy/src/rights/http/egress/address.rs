//! Which addresses are not "the internet".
//!
//! The attack: an allowed name resolves to 127.0.0.1, to the cloud's metadata service or to an IPv6
//! form that carries one of them inside. One table, each entry with the document that reserves it;
//! the IPv4 address inside every transition form is looked up again. What is neither in the table
//! nor global unicast is refused too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// A cloud's instance metadata service. Never reachable, not even with both keys.
    Metadata,
    /// 127.0.0.0/8 and `::1`.
    Loopback,
    /// RFC 1918 and unique local IPv6.
    Private,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// Carrier-grade NAT, 100.64.0.0/10.
    SharedAddress,
    /// Documentation prefixes.
    Documentation,
    /// Benchmarking prefixes.
    Benchmarking,
    /// Multicast and broadcast.
    Multicast,
    /// `0.0.0.0/8` and `::`.
    Unspecified,
    /// Reserved, discard-only, or outside global unicast.
    Reserved,
    /// An IPv6 form that carries an IPv4 address to somewhere else.
    Transition,
    /// One of this machine's own addresses.
    Own,
}

impl AddressClass {
    /// The rule's name in a denial: `egress.loopback`.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Metadata => "egress.metadata",
            Self::Loopback => "egress.loopback",
            Self::Private => "egress.private",
            Self::LinkLocal => "egress.link-local",
            Self::SharedAddress => "egress.shared",
            Self::Documentation => "egress.documentation",
            Self::Benchmarking => "egress.benchmarking",
            Self::Multicast => "egress.multicast",
            Self::Unspecified => "egress.unspecified",
            Self::Reserved => "egress.reserved",
            Self::Transition => "egress.transition",
            Self::Own => "egress.own",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// What it is.
    pub class: AddressClass,
    /// The document that says so.
    pub source: &'static str,
    network: u128,
    bits: u32,
}

const fn v4(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    bits: u32,
    class: AddressClass,
    source: &'static str,
) -> Blocked {
    let network = u32::from_be_bytes([a, b, c, d]) as u128;
    Blocked {
        class,
        source,
        network,
        bits,
    }
}

const fn v6(network: u128, bits: u32, class: AddressClass, source: &'static str) -> Blocked {
    Blocked {
        class,
        source,
        network,
        bits,
    }
}

use AddressClass::{
    Benchmarking, Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved,
    SharedAddress, Transition, Unspecified,
};

/// IPv4, the most specific first.
static V4: [Blocked; 25] = [
    v4(
        169,
        254,
        169,
        254,
        32,
        Metadata,
        "instance metadata (AWS, GCP, Azure, OpenStack)",
    ),
    v4(169, 254, 170, 2, 32, Metadata, "task credentials (AWS ECS)"),
    v4(169, 254, 170, 23, 32, Metadata, "pod identity (AWS EKS)"),
    v4(
        100,
        100,
        100,
        200,
        32,
        Metadata,
        "instance metadata (Alibaba Cloud)",
    ),
    v4(168, 63, 129, 16, 32, Metadata, "wire server (Azure)"),
    v4(
        192,
        0,
        0,
        192,
        32,
        Metadata,
        "instance metadata (Oracle Cloud, old)",
    ),
    v4(0, 0, 0, 0, 8, Unspecified, "RFC 1122 section 3.2.1.3"),
    v4(10, 0, 0, 0, 8, Private, "RFC 1918"),
    v4(100, 64, 0, 0, 10, SharedAddress, "RFC 6598"),
    v4(127, 0, 0, 0, 8, Loopback, "RFC 1122 section 3.2.1.3"),
    v4(169, 254, 0, 0, 16, LinkLocal, "RFC 3927"),
    v4(172, 16, 0, 0, 12, Private, "RFC 1918"),
    v4(192, 0, 0, 0, 24, Reserved, "RFC 6890 section 2.1"),
    v4(192, 0, 2, 0, 24, Documentation, "RFC 5737"),
    v4(192, 31, 196, 0, 24, Reserved, "RFC 7535"),
    v4(192, 52, 193, 0, 24, Reserved, "RFC 7450"),
    v4(192, 88, 99, 0, 24, Transition, "RFC 7526"),
    v4(192, 168, 0, 0, 16, Private, "RFC 1918"),
    v4(192, 175, 48, 0, 24, Reserved, "RFC 7534"),
    v4(198, 18, 0, 0, 15, Benchmarking, "RFC 2544"),
    v4(198, 51, 100, 0, 24, Documentation, "RFC 5737"),
    v4(203, 0, 113, 0, 24, Documentation, "RFC 5737"),
    v4(224, 0, 0, 0, 4, Multicast, "RFC 5771"),
    v4(255, 255, 255, 255, 32, Multicast, "RFC 919"),
    v4(240, 0, 0, 0, 4, Reserved, "RFC 1112 section 4"),
];

/// IPv6, the most specific first. The IPv4-mapped block and 64:ff9b::/96 are not in it: they are
/// decided by the address inside.
static V6: [Blocked; 22] = [
    v6(
        0xfd00_0ec2_0000_0000_0000_0000_0000_0254,
        128,
        Metadata,
        "instance metadata (AWS)",
    ),
    v6(
        0xfd00_0ec2_0000_0000_0000_0000_0000_0023,
        128,
        Metadata,
        "pod identity (AWS EKS)",
    ),
    v6(
        0xfd20_00ce_0000_0000_0000_0000_0000_0254,
        128,
        Metadata,
        "instance metadata (GCP)",
    ),
    v6(0, 128, Unspecified, "RFC 4291 section 2.5.2"),
    v6(1, 128, Loopback, "RFC 4291 section 2.5.3"),
    v6(0, 96, Transition, "RFC 4291 section 2.5.5.1"),
    v6(0xffff << 48, 96, Transition, "RFC 2765 section 2.1"),
    v6(0x0064_ff9b_0001 << 80, 48, Transition, "RFC 8215"),
    v6(0x0100 << 112, 64, Reserved, "RFC 6666"),
    v6(0x0100_0000_0000_0001 << 64, 64, Reserved, "RFC 9780"),
    v6(0x2001_0000 << 96, 32, Transition, "RFC 4380"),
    v6(0x2001_0002_0000 << 80, 48, Benchmarking, "RFC 5180"),
    v6(0x2001 << 112, 23, Reserved, "RFC 2928"),
    v6(0x2001_0db8 << 96, 32, Documentation, "RFC 3849"),
    v6(0x2002 << 112, 16, Transition, "RFC 3056"),
    v6(0x2620_004f_8000 << 80, 48, Reserved, "RFC 7534"),
    v6(0x3fff << 112, 20, Documentation, "RFC 9637"),
    v6(0x5f00 << 112, 16, Reserved, "RFC 9602"),
    v6(0xfc00 << 112, 7, Private, "RFC 4193"),
    v6(0xfe80 << 112, 10, LinkLocal, "RFC 4291 section 2.5.6"),
    v6(0xfec0 << 112, 10, Private, "RFC 3879"),
    v6(0xff00 << 112, 8, Multicast, "RFC 4291 section 2.7"),
];

static OUTSIDE_GLOBAL: Blocked = v6(0, 0, Reserved, "RFC 4291 section 2.4");
static NAT64: Blocked = v6(0x0064_ff9b << 96, 96, Transition, "RFC 6052");
static ISATAP: Blocked = v6(0, 0, Transition, "RFC 5214 section 6.1");

/// The table's line for `address`, or `None` when it is public.
///
/// An IPv4-mapped address is its IPv4 address. `64:ff9b::/96` is public when the address inside is,
/// because networks without IPv4 reach the internet through it.
#[must_use]
pub fn blocked(address: IpAddr) -> Option<&'static Blocked> {
    match address.to_canonical() {
        IpAddr::V4(v4) => blocked_v4(v4),
        IpAddr::V6(v6) => blocked_v6(v6),
    }
}

fn blocked_v4(address: Ipv4Addr) -> Option<&'static Blocked> {
    let value = u128::from(u32::from(address));
    V4.iter()
        .find(|line| within(value, line.network, line.bits, 32))
}

fn blocked_v6(address: Ipv6Addr) -> Option<&'static Blocked> {
    let value = u128::from(address);
    if let Some(line) = V6
        .iter()
        .find(|line| within(value, line.network, line.bits, 128))
    {
        return Some(line);
    }
    // Before the test for global unicast, outside of which it lies.
    if within(value, NAT64.network, 96, 128) {
        return embedded_low(value).and_then(blocked_v4).map(|_| &NAT64);
    }
    if !within(value, 0x2000 << 112, 3, 128) {
        return Some(&OUTSIDE_GLOBAL);
    }
    // Below any prefix at all, so that no line of the table can name it.
    let isatap = matches!(value >> 32 & 0xffff_ffff, 0x0000_5efe | 0x0200_5efe);
    (isatap && embedded_low(value).and_then(blocked_v4).is_some()).then_some(&ISATAP)
}

fn embedded_low(value: u128) -> Option<Ipv4Addr> {
    u32::try_from(value & 0xffff_ffff).ok().map(Ipv4Addr::from)
}

fn within(value: u128, network: u128, bits: u32, width: u32) -> bool {
    let shift = width - bits.min(width);
    // A network of no bits holds every address, and a shift by all of them would overflow.
    shift >= 128 || value >> shift == network >> shift
}

/// A network in CIDR notation. IPv4-mapped networks are their IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

impl Cidr {
    /// Parses `10.0.0.0/8`; the host bits must be zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        // `08` and `+8` are read in two ways by parsers of others.
        let plain = !bits.is_empty() && bits.len() <= 3 && (bits == "0" || !bits.starts_with('0'));
        let bits: u8 = bits.parse().ok().filter(|_| plain)?;
        let cidr = Self { address, bits };
        (u32::from(bits) <= cidr.width() && cidr.host_bits_are_zero()).then_some(cidr)
    }

    fn width(self) -> u32 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn host_bits_are_zero(self) -> bool {
        let shift = self.width() - u32::from(self.bits);
        shift >= 128 && value(self.address) == 0
            || shift < 128 && (value(self.address) >> shift) << shift == value(self.address)
    }

    /// Whether `address` is inside; an IPv4-mapped address counts as IPv4.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && within(
                value(address),
                value(self.address),
                u32::from(self.bits),
                self.width(),
            )
    }

    /// Whether every address of `other` is inside.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

fn value(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}
