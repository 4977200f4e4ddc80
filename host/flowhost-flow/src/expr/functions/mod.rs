//! The functions of expressions: one list, each pure, each paid for by the size of what it reads and
//! makes.
//!
//! Must not have effects, nor look at anything but its values. `docs/expressions.md` has a row for each;
//! a test compares.

use crate::effort::Meter;
use crate::expr::eval::Evaluated;
use crate::expr::fault::{Fault, Kinds};
use crate::expr::pattern::Patterns;
use crate::expr::value::{Items, Val};

mod convert;
mod format;
mod list;
mod math;
mod network;
mod optional;
mod text;

macro_rules! functions {
    ($($module:ident { $($name:ident $word:literal $min:literal ..= $max:literal;)* })*) => {
        /// A function. The receiver of `x.f(y)` is its first value, so `size(x)` is `x.size()`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($($name,)*)* }

        impl Function {
            pub(super) const ALL: &[Function] = &[$($(Function::$name,)*)*];

            /// By name. No name that can be written starts with `@`.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($($word => Some(Function::$name),)*)*
                    _ => None,
                }
            }

            pub(super) const fn name(self) -> &'static str {
                match self { $($(Function::$name => $word,)*)* }
            }

            pub(super) fn takes(self, count: usize) -> bool {
                match self { $($(Function::$name => ($min..=$max).contains(&count),)*)* }
            }
        }

        fn dispatch<'a>(
            function: Function,
            args: &[Val<'a>],
            patterns: &mut Patterns,
            meter: &mut Meter<'_>,
        ) -> Called<'a> {
            match function {
                $($(Function::$name)|* => $module::call(function, args, patterns, meter),)*
            }
        }
    };
}

functions! {
    text {
        Contains "contains" 2..=2;
        StartsWith "startsWith" 2..=2;
        EndsWith "endsWith" 2..=2;
        Matches "matches" 2..=2;
        LowerAscii "lowerAscii" 1..=1;
        UpperAscii "upperAscii" 1..=1;
        Trim "trim" 1..=1;
        Replace "replace" 3..=4;
        Split "split" 2..=3;
        Join "join" 1..=2;
        CharAt "charAt" 2..=2;
        IndexOf "indexOf" 2..=3;
        LastIndexOf "lastIndexOf" 2..=3;
        Substring "substring" 2..=3;
        Quote "strings.quote" 1..=1;
        Format "format" 2..=2;
    }
    list {
        Size "size" 1..=1;
        Flatten "flatten" 1..=2;
        Distinct "distinct" 1..=1;
        Sort "sort" 1..=1;
        SortByKeys "@sortByKeys" 2..=2;
        Slice "slice" 3..=3;
        Sum "sum" 1..=1;
        Reverse "reverse" 1..=1;
        First "first" 1..=1;
        Last "last" 1..=1;
        Range "range" 1..=1;
        ListsRange "lists.range" 1..=1;
    }
    convert {
        Text "string" 1..=1;
        Int "int" 1..=1;
        Uint "uint" 1..=1;
        Double "double" 1..=1;
        Bool "bool" 1..=1;
        Dyn "dyn" 1..=1;
    }
    math {
        Greatest "math.greatest" 1..=64;
        Least "math.least" 1..=64;
        Ceil "math.ceil" 1..=1;
        Floor "math.floor" 1..=1;
        Round "math.round" 1..=1;
        Trunc "math.trunc" 1..=1;
        Abs "math.abs" 1..=1;
        Sign "math.sign" 1..=1;
        Sqrt "math.sqrt" 1..=1;
        IsNan "math.isNaN" 1..=1;
        IsInf "math.isInf" 1..=1;
        IsFinite "math.isFinite" 1..=1;
        BitAnd "math.bitAnd" 2..=2;
        BitOr "math.bitOr" 2..=2;
        BitXor "math.bitXor" 2..=2;
        BitNot "math.bitNot" 1..=1;
        ShiftLeft "math.bitShiftLeft" 2..=2;
        ShiftRight "math.bitShiftRight" 2..=2;
    }
    optional {
        OptionalOf "optional.of" 1..=1;
        OptionalOfNonZero "optional.ofNonZeroValue" 1..=1;
        OptionalNone "optional.none" 0..=0;
        HasValue "hasValue" 1..=1;
        Value "value" 1..=1;
        Or "or" 2..=2;
        OrValue "orValue" 2..=2;
    }
    network {
        Ip "ip" 1..=1;
        IsIp "isIP" 1..=1;
        IsCanonical "ip.isCanonical" 1..=1;
        Cidr "cidr" 1..=1;
        IsCidr "isCIDR" 1..=1;
        Family "family" 1..=1;
        IsUnspecified "isUnspecified" 1..=1;
        IsLoopback "isLoopback" 1..=1;
        IsGlobalUnicast "isGlobalUnicast" 1..=1;
        IsLinkLocalUnicast "isLinkLocalUnicast" 1..=1;
        IsLinkLocalMulticast "isLinkLocalMulticast" 1..=1;
        ContainsIp "containsIP" 2..=2;
        ContainsCidr "containsCIDR" 2..=2;
        PrefixLength "prefixLength" 1..=1;
        Masked "masked" 1..=1;
    }
}

/// The value, or nothing where the function does not take such values.
type Called<'a> = Result<Option<Val<'a>>, Fault<'a>>;

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    patterns: &mut Patterns,
    meter: &mut Meter<'_>,
) -> Evaluated<'a> {
    dispatch(function, args, patterns, meter)?
        .ok_or_else(|| Fault::Mismatch(function.name(), Kinds::of(args)))
}

/// Adds the elements of a list. Paid for by the caller, who knows their number.
pub(super) fn extend<'a>(items: &mut Vec<Val<'a>>, list: &Val<'a>) {
    if let Some(Items::List(list)) = list.items() {
        items.extend((0..list.len().unwrap_or(0)).filter_map(|index| list.element(index)));
    }
}

/// A place in a list or a text, between 0 and `len`.
fn place<'a>(what: &'static str, value: &Val<'a>, len: usize) -> Result<Option<usize>, Fault<'a>> {
    let Some(number) = value.whole() else {
        return Ok(None);
    };
    match usize::try_from(number) {
        Ok(place) if place <= len => Ok(Some(place)),
        _ => Err(Fault::OutOfRange(what, number)),
    }
}

pub(super) use convert::{shown, text_of};
pub(super) use network::Network;
