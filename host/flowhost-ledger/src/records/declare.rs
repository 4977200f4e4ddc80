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

macro_rules! parts {
    ($($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)* })*) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $type,)* }

        fields_of! { $name { $($(#[doc = $doc])+ $field: $type,)* } }

        impl Field for $name {
            fn put(self, _name: &'static str, out: &mut Fields) {
                self.put_all(out);
            }

            fn get(_name: &'static str, fields: &Fields) -> Result<Self, FieldError> {
                Self::get_all(fields)
            }

            fn describe(_name: &'static str, _doc: &'static str, out: &mut Vec<FieldDoc>) {
                Self::describe_all(out);
            }
        }
    )*};
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
