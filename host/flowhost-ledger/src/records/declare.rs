//! How kinds of records and groups of fields are declared: one line for a field, from which writing, reading,
//! the book's table and the schema follow. Names in here are those of whoever declares (`kinds.rs`).

macro_rules! fields_of {
    ($name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* }) => {
        impl $name {
            fn put_all(self, out: &mut Fields) {
                $(Field::put(self.$field, stringify!($field), out);)*
            }

            fn get_all(fields: &Fields) -> Result<Self, FieldError> {
                Ok(Self { $($field: Field::get(stringify!($field), fields)?,)* })
            }

            fn describe_all(out: &mut Vec<FieldDoc>) {
                $(<$type as Field>::describe(stringify!($field), concat!($($doc),+), out);)*
            }
        }
    };
}

/// The same fields, borrowed from where the record stands.
macro_rules! lent_of {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name<'a> { $($(#[doc = $doc])+ pub $field: <$type as Field>::Lent<'a>,)* }

        impl<'a> $name<'a> {
            pub(in crate::records) fn lend(fields: LentFields<'a>) -> Result<Self, FieldError> {
                Ok(Self { $($field: <$type as Field>::lend(stringify!($field), fields)?,)* })
            }
        }
    };
}

macro_rules! parts {
    ($($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* })*) => {
    $(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $type,)* }

        fields_of! { $name { $($(#[doc = $doc])+ $field: $type,)* } }

        impl Field for $name {
            type Lent<'a> = lent::$name<'a>;

            fn put(self, _name: &'static str, out: &mut Fields) {
                self.put_all(out);
            }

            fn get(_name: &'static str, fields: &Fields) -> Result<Self, FieldError> {
                Self::get_all(fields)
            }

            fn lend<'a>(
                _name: &'static str,
                fields: LentFields<'a>,
            ) -> Result<lent::$name<'a>, FieldError> {
                lent::$name::lend(fields)
            }

            fn part<'r, 'a>(lent: &'r Self::Lent<'a>) -> Option<lent::Part<'r, 'a>> {
                Some(lent::Part::$name(lent))
            }

            fn describe(_name: &'static str, _doc: &'static str, out: &mut Vec<FieldDoc>) {
                Self::describe_all(out);
            }
        }
    )*

        /// The same groups, borrowed from where their records stand.
        pub(in crate::records) mod lent {
            use super::{Decision, Field, FieldError, LentFields};

            $(lent_of! { $(#[doc = $about])+ $name { $($(#[doc = $doc])+ $field: $type,)* } })*

            /// A group of fields of a record.
            #[derive(Debug, Clone, Copy)]
            pub enum Part<'r, 'a> { $($(#[doc = $about])+ $name(&'r $name<'a>),)* }
        }
    };
}

macro_rules! kinds {
    ($(
        $name:ident $text:literal $about:literal
        { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* }
    )*) => {
        /// Every kind of record there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $about] $name,)* }

        impl Kind {
            /// All kinds with what each one says, in the order of the book's table.
            pub const ALL: &'static [(Kind, &'static str, &'static str)] =
                &[$((Kind::$name, $text, $about),)*];

            /// The word in the record's `kind` field.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }

            /// The kind of this word, if there is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                KINDS.get(text).map(|(_, kind)| kind)
            }

            /// The fields of the kind.
            #[must_use]
            pub fn fields(self) -> Vec<FieldDoc> {
                match self { $(Kind::$name => <$name as RecordKind>::describe(),)* }
            }
        }

        /// Every record that is read is asked for its kind, more than once.
        static KINDS: LazyLock<Known<Kind>> =
            LazyLock::new(|| Known::of(Kind::ALL.iter().map(|(kind, text, _)| (*text, *kind))));

        /// A record of any kind.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Record { $(#[doc = $about] $name($name),)* }

        impl Record {
            /// Reads the fields of a record of this kind.
            ///
            /// # Errors
            /// [`FieldError`] when they are not what the kind says.
            pub fn of(kind: Kind, fields: &Fields) -> Result<Self, FieldError> {
                match kind { $(Kind::$name => $name::from_fields(fields).map(Record::$name),)* }
            }

            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Record::$name(_) => Kind::$name,)* }
            }

            /// The group of fields of this type, if the kind has it.
            #[must_use]
            pub fn part<P: Any>(&self) -> Option<&P> {
                match self { $(Record::$name(record) => RecordKind::part(record),)* }
            }

            /// Its fields as the format has them.
            #[must_use]
            pub fn into_fields(self) -> Fields {
                match self { $(Record::$name(record) => record.into_fields(),)* }
            }
        }

        $(
            #[doc = $about]
            #[derive(Debug, Clone, Default, PartialEq, Eq)]
            pub struct $name { $($(#[doc = $doc])+ pub $field: $type,)* }

            fields_of! { $name { $($(#[doc = $doc])+ $field: $type,)* } }

            impl RecordKind for $name {
                const KIND: Kind = Kind::$name;

                fn into_fields(self) -> Fields {
                    let mut out = Fields::new();
                    self.put_all(&mut out);
                    out
                }

                fn from_fields(fields: &Fields) -> Result<Self, FieldError> {
                    Self::get_all(fields)
                }

                fn part<P: Any>(&self) -> Option<&P> {
                    let fields: &[&dyn Any] = &[$(&self.$field,)*];
                    fields.iter().find_map(|field| field.downcast_ref())
                }

                fn describe() -> Vec<FieldDoc> {
                    let mut out = Vec::new();
                    Self::describe_all(&mut out);
                    out
                }
            }

            impl From<$name> for Record {
                fn from(record: $name) -> Self {
                    Record::$name(record)
                }
            }
        )*

        /// The same records, borrowed from where they stand.
        pub(in crate::records) mod lent {
            use super::{
                BTreeMap, BegunPart, CallPart, DecisionPart, EndedPart, Field, FieldError, Kind,
                LentFields, Owner, Part, PlacePart, SpentPart, StepPart, TryPart, UsedPart,
            };

            /// What a record of any kind says.
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub enum Record<'a> { $(#[doc = $about] $name($name<'a>),)* }

            impl<'a> Record<'a> {
                pub(crate) fn of(kind: Kind, fields: LentFields<'a>) -> Result<Self, FieldError> {
                    match kind { $(Kind::$name => $name::lend(fields).map(Record::$name),)* }
                }

                /// Its kind.
                #[must_use]
                pub const fn kind(&self) -> Kind {
                    match self { $(Record::$name(_) => Kind::$name,)* }
                }

                /// What `pick` takes of the first of its groups of fields of which it takes anything.
                pub fn find<'r, T>(
                    &'r self,
                    pick: impl Fn(Part<'r, 'a>) -> Option<T>,
                ) -> Option<T> {
                    match self { $(Record::$name(record) => record.find(pick),)* }
                }
            }

            $(
                lent_of! { #[doc = $about] $name { $($(#[doc = $doc])+ $field: $type,)* } }

                impl<'a> $name<'a> {
                    fn find<'r, T>(
                        &'r self,
                        pick: impl Fn(Part<'r, 'a>) -> Option<T>,
                    ) -> Option<T> {
                        let parts = [$(<$type as Field>::part(&self.$field),)*];
                        parts.into_iter().flatten().find_map(pick)
                    }
                }
            )*
        }
    };
}

/// Kinds of which every record belongs to a plugin's call.
macro_rules! of_calls {
    ($($name:ident)*) => {$(
        impl OfCall for $name {
            fn of(self, call: CallPart) -> Self {
                Self { call_of: call, ..self }
            }
        }
    )*};
}

/// Those of them that are about a right.
macro_rules! decides {
    ($($name:ident)*) => {$(
        impl Decides for $name {
            fn decided(self, decided: DecisionPart) -> Self {
                Self { decided, ..self }
            }
        }
    )*};
}
