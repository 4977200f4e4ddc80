//! Words that records use and every reader branches on: a list each, so that nobody spells them anew.

use super::field::{Shape, Single};
use crate::canonical::Parsed;
use crate::fact::Value;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant,)* }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word in logs, records, reports and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn of_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl Single for $name {
            const SHAPE: Shape = Shape::Word(Self::WORDS);

            type Seen<'a> = Self;

            fn value(self) -> Value {
                Value::from(self.as_str())
            }

            fn parse(value: &Value) -> Option<Self> {
                Self::of_word(value.as_text()?)
            }

            fn see(value: Parsed<'_>) -> Option<Self> {
                Self::of_word(value.text()?)
            }
        }
    )*};
}

words! {
    /// Who has to change something, after a failure.
    Owner {
        /// The component misbehaved or refused its input.
        Guest "guest",
        /// A rule said no.
        Policy "policy",
        /// A limit was reached.
        Limit "limit",
        /// The host failed, or what it is connected to.
        Host "host",
        /// The plan asks for what cannot be, such as an expression that fails on this run's data.
        Plan "plan",
    }
    /// What policy, or a bound, said.
    Decision {
        /// The right was used.
        Allow "allow",
        /// It was refused.
        Deny "deny",
        /// What came was let go, and the guest goes on.
        Drop "drop",
    }
}
