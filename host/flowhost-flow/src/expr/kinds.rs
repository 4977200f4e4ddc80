//! What kinds of values an expression can give, found without running it: what is certainly wrong is told before a
//! run, where the run would fail at that step, after everything before it.
//!
//! Says only what is sure. A name of which nothing is known may be anything, what is made of it may be anything, and
//! `dyn(x)` is anything on purpose. Follows the evaluation operator by operator: what is told here fails there on
//! every value of these kinds, or is a comparison that never holds.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::expr::functions::Function;
use crate::expr::node::{Binary, Loop, Node};
use crate::expr::refs::reference;
use crate::problem::suggest;

mod cures;

pub(crate) use cures::as_condition;
use cures::{conversion, of_part};

/// Kinds of values, as a set that is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    // What JSON has comes first: `JSON` is the bits below `OPTIONAL`.
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOL: Self = Self(1 << 1);
    pub(crate) const NUMBER: Self = Self(1 << 2);
    pub(crate) const TEXT: Self = Self(1 << 3);
    pub(crate) const LIST: Self = Self(1 << 4);
    pub(crate) const OBJECT: Self = Self(1 << 5);
    const OPTIONAL: Self = Self(1 << 6);
    /// IP addresses and networks.
    const NETWORK: Self = Self(1 << 7);
    /// What JSON has.
    pub(crate) const JSON: Self = Self((1 << 6) - 1);
    const ANY: Self = Self((1 << 8) - 1);

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both; `self` where nothing is, because a set is never empty.
    const fn both(self, other: Self) -> Self {
        match self.0 & other.0 {
            0 => self,
            both => Self(both),
        }
    }

    /// Whether a value of one of these can be one of those.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Kinds of the values that a JSON Schema lets through.
    pub(crate) fn of_schema(schema: &Value) -> Self {
        let Some(members) = schema.as_object() else {
            return Self::JSON;
        };
        // In older drafts nothing counts beside a reference.
        if REFERENCES.iter().any(|key| members.contains_key(*key)) {
            return Self::JSON;
        }
        let typed = match members.get("type") {
            Some(Value::String(word)) => Self::of_word(word),
            Some(Value::Array(words)) => {
                let words = words.iter().filter_map(Value::as_str);
                Self::any_of(words.map(Self::of_word))
            }
            _ => Self::JSON,
        };
        let listed = match (members.get("const"), members.get("enum")) {
            (Some(value), _) => Self::of_value(value),
            (None, Some(Value::Array(values))) => Self::any_of(values.iter().map(Self::of_value)),
            _ => Self::JSON,
        };
        typed.both(listed)
    }

    /// All of them together; anything where there is none.
    fn any_of(mut all: impl Iterator<Item = Self>) -> Self {
        let first = all.next().unwrap_or(Self::JSON);
        all.fold(first, Self::or)
    }

    fn of_word(word: &str) -> Self {
        match word {
            "null" => Self::NULL,
            "boolean" => Self::BOOL,
            "number" | "integer" => Self::NUMBER,
            "string" => Self::TEXT,
            "array" => Self::LIST,
            "object" => Self::OBJECT,
            _ => Self::JSON,
        }
    }

    pub(crate) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOL,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::TEXT,
            Value::Array(_) => Self::LIST,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// In the words of the evaluation: `text or a number`.
    pub(crate) fn told(self) -> String {
        let known = [
            (Self::NULL, "null"),
            (Self::BOOL, "true or false"),
            (Self::NUMBER, "a number"),
            (Self::TEXT, "text"),
            (Self::LIST, "a list"),
            (Self::OBJECT, "an object"),
            (Self::OPTIONAL, "an optional value"),
            (Self::NETWORK, "an address"),
        ];
        // That a step may be skipped, and then gives null, says nothing of what is wrong.
        let plain = Self(self.0 & !Self::NULL.0);
        let shown = match plain.0 {
            0 => self,
            _ => plain,
        };
        let words = known.iter().filter(|(kind, _)| shown.meets(*kind));
        words
            .map(|(_, word)| *word)
            .collect::<Vec<_>>()
            .join(" or ")
    }
}

/// Keywords that lead to another part of the schema.
const REFERENCES: [&str; 2] = ["$ref", "$dynamicRef"];

/// What is known of a value.
#[derive(Clone, Debug)]
pub(crate) struct Known<'s> {
    pub(crate) kinds: Kinds,
    inside: Inside<'s>,
}

#[derive(Clone, Debug)]
enum Inside<'s> {
    /// Nothing is known of its members and elements.
    Nothing,
    /// They are as this JSON Schema says.
    Schema(&'s Value),
    /// Some members of an object, or all of them.
    Members {
        known: Rc<BTreeMap<String, Known<'s>>>,
        all: bool,
    },
    /// Every element of a list.
    Elements(Rc<Known<'s>>),
}

impl<'s> Known<'s> {
    pub(crate) const ANYTHING: Known<'static> = Known {
        kinds: Kinds::ANY,
        inside: Inside::Nothing,
    };

    pub(crate) const fn of(kinds: Kinds) -> Self {
        Self {
            kinds,
            inside: Inside::Nothing,
        }
    }

    pub(crate) fn schema(schema: &'s Value) -> Self {
        Self {
            kinds: Kinds::of_schema(schema),
            inside: Inside::Schema(schema),
        }
    }

    /// An object of which some members are known, and which may have others.
    pub(crate) fn object(members: BTreeMap<String, Known<'s>>) -> Self {
        Self {
            kinds: Kinds::OBJECT,
            inside: Inside::Members {
                known: Rc::new(members),
                all: false,
            },
        }
    }

    /// An object that has no members but these.
    pub(crate) fn record(members: BTreeMap<String, Known<'s>>) -> Self {
        Self {
            kinds: Kinds::OBJECT,
            inside: Inside::Members {
                known: Rc::new(members),
                all: true,
            },
        }
    }

    pub(crate) fn list(element: Known<'s>) -> Self {
        Self {
            kinds: Kinds::LIST,
            inside: Inside::Elements(Rc::new(element)),
        }
    }

    /// The same, or null.
    pub(crate) fn or_null(self) -> Self {
        Self {
            kinds: self.kinds.or(Kinds::NULL),
            ..self
        }
    }

    /// A member, of a value that is an object.
    fn member(&self, name: &str) -> Self {
        let known = match &self.inside {
            Inside::Members { known, .. } => known.get(name).cloned(),
            Inside::Schema(schema) if !refers(schema) => {
                let properties = schema.get("properties");
                properties.and_then(|all| all.get(name)).map(Self::schema)
            }
            _ => None,
        };
        known.unwrap_or(Self::ANYTHING)
    }

    /// The members that it has, where it surely lacks this one: whatever else it may be has none at all.
    fn lacks(&self, name: &str) -> Option<&BTreeMap<String, Known<'s>>> {
        match &self.inside {
            Inside::Members { known, all: true } if !known.contains_key(name) => Some(known),
            _ => None,
        }
    }

    /// An element, of a value that is a list.
    fn element(&self) -> Self {
        match &self.inside {
            Inside::Elements(element) => (**element).clone(),
            // The first elements may be other ones.
            Inside::Schema(schema) if !refers(schema) && schema.get("prefixItems").is_none() => {
                match schema.get("items") {
                    Some(items @ Value::Object(_)) => Self::schema(items),
                    _ => Self::ANYTHING,
                }
            }
            _ => Self::ANYTHING,
        }
    }
}

fn refers(schema: &Value) -> bool {
    REFERENCES.iter().any(|key| schema.get(*key).is_some())
}

/// What is certainly wrong with an expression, and what to write instead where that can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) cure: String,
}

/// What is known of the names that an expression uses.
pub(crate) type Names<'n, 's> = &'n dyn Fn(&str) -> Known<'s>;

/// What is known of a node's value, and the first thing that is wrong in it.
pub(super) fn look<'s>(node: &Node, names: Names<'_, 's>) -> (Known<'s>, Option<Wrong>) {
    let mut look = Look::new(names);
    let known = look.node(node);
    // A member that is lacking was found before anything else was wrong, so that it is the first thing.
    let wrong = match look.asks {
        true => look.wrong,
        false => look.lacking.or(look.wrong),
    };
    (known, wrong)
}

/// What is known of a node's value, for whoever tells nothing of the rest: no near name is looked for.
pub(super) fn known<'s>(node: &Node, names: Names<'_, 's>) -> Known<'s> {
    let mut look = Look {
        tells: false,
        ..Look::new(names)
    };
    look.node(node)
}

struct Look<'n, 's> {
    names: Names<'n, 's>,
    locals: Vec<Known<'s>>,
    wrong: Option<Wrong>,
    /// A member that is not there, where nothing else is wrong before it.
    lacking: Option<Wrong>,
    /// Whether it asks anywhere if something is there: it may then go on without a member.
    asks: bool,
    /// Whether somebody is told.
    tells: bool,
}

impl<'n, 's> Look<'n, 's> {
    const fn new(names: Names<'n, 's>) -> Self {
        Self {
            names,
            locals: Vec::new(),
            wrong: None,
            lacking: None,
            asks: false,
            tells: true,
        }
    }

    fn node(&mut self, node: &Node) -> Known<'s> {
        match node {
            Node::Null => Known::of(Kinds::NULL),
            Node::Bool(_) => Known::of(Kinds::BOOL),
            Node::Int(_) | Node::Uint(_) | Node::Double(_) => Known::of(Kinds::NUMBER),
            Node::Text(_) => Known::of(Kinds::TEXT),
            Node::Name(name) => (self.names)(name),
            Node::Local(place) => self.local(*place),
            Node::Field { of, name } => {
                let known = self.node(of);
                self.lack(of, &known, name);
                self.member(&known, name)
            }
            Node::FieldIfAny { of, name } => {
                self.asks = true;
                let of = self.node(of);
                self.member(&of, name);
                Known::of(Kinds::OPTIONAL)
            }
            Node::Has { of, name } => {
                self.asks = true;
                let of = self.node(of);
                self.member(&of, name);
                Known::of(Kinds::BOOL)
            }
            Node::Index(of, index) => self.index(of, index),
            Node::IndexIfAny(of, index) => {
                self.asks = true;
                self.index(of, index);
                Known::of(Kinds::OPTIONAL)
            }
            Node::Not(inner) => {
                self.condition(inner);
                Known::of(Kinds::BOOL)
            }
            Node::Negate(inner) => {
                let inner = self.node(inner);
                let what = || format!("`-` goes with a number, not {}", inner.kinds.told());
                self.need(inner.kinds, Kinds::NUMBER, what);
                Known::of(Kinds::NUMBER)
            }
            Node::And(a, b) | Node::Or(a, b) => {
                self.condition(a);
                self.condition(b);
                Known::of(Kinds::BOOL)
            }
            Node::If(condition, yes, no) => {
                self.condition(condition);
                // What is inside of either says nothing of the other, and it is not known which one it is.
                let (yes, no) = (self.node(yes), self.node(no));
                Known::of(yes.kinds.or(no.kinds))
            }
            Node::Binary(binary, a, b) => {
                let (a, b) = (self.node(a), self.node(b));
                self.binary(*binary, a.kinds, b.kinds)
            }
            // An error within counts as true.
            Node::NotFalse(inner) => {
                self.node(inner);
                Known::of(Kinds::BOOL)
            }
            Node::Call(function, args) => self.call(*function, args),
            Node::Matches(text, _) => {
                let text = self.node(text).kinds;
                let what = || format!("`matches` does not go with {}", text.told());
                self.need(text, Kinds::TEXT, what);
                Known::of(Kinds::BOOL)
            }
            Node::List(nodes) => self.list(nodes),
            Node::Map(entries) => self.map(entries),
            Node::IfAny(inner) => {
                let inner = self.node(inner).kinds;
                let what = || format!("`?` takes an optional value, not {}", inner.told());
                self.need(inner, Kinds::OPTIONAL, what);
                Known::ANYTHING
            }
            Node::Push(_, item) => {
                self.node(item);
                Known::of(Kinds::LIST)
            }
            Node::Put(_, entry) => {
                self.node(&entry.0);
                self.node(&entry.1);
                Known::of(Kinds::OBJECT)
            }
            Node::PutAll(_, entries) => {
                self.node(entries);
                Known::of(Kinds::OBJECT)
            }
            Node::Loop(inner) => self.turns(inner),
            Node::Bind(place, inner) => {
                let value = self.node(&inner.0);
                self.set(*place, value);
                self.node(&inner.1)
            }
        }
    }

    /// Says what is wrong; the first thing counts, since others may only follow from it.
    fn tell(&mut self, what: String, cure: String) {
        self.wrong.get_or_insert(Wrong { what, cure });
    }

    fn need(&mut self, kinds: Kinds, wanted: Kinds, what: impl FnOnce() -> String) {
        if !kinds.meets(wanted) {
            self.tell(what(), String::new());
        }
    }

    fn condition(&mut self, node: &Node) {
        let kinds = self.node(node).kinds;
        if !kinds.meets(Kinds::BOOL) {
            let what = format!("expected true or false, not {}", kinds.told());
            self.tell(what, as_condition(kinds).to_owned());
        }
    }

    fn local(&self, place: usize) -> Known<'s> {
        let local = self.locals.get(place).cloned();
        debug_assert!(local.is_some(), "lowering counts places as this does");
        local.unwrap_or(Known::ANYTHING)
    }

    /// Sets a local; those behind it are out of reach now. Places are counted as lowering does, also those of a branch
    /// that was left.
    fn set(&mut self, place: usize, known: Known<'s>) {
        self.locals.resize(place, Known::ANYTHING);
        self.locals.push(known);
    }

    fn member(&mut self, of: &Known<'s>, name: &str) -> Known<'s> {
        if !of.kinds.meets(Kinds::OBJECT.or(Kinds::OPTIONAL)) {
            let what = format!("{} has no member `{name}`", of.kinds.told());
            self.tell(what, of_part(of.kinds, name).to_owned());
        }
        match of.kinds.meets(Kinds::OPTIONAL) {
            true => Known::ANYTHING,
            // Whatever else it may be, a value that has the member is an object.
            false => of.member(name),
        }
    }

    /// Tells of a member that is asked for and is not there.
    fn lack(&mut self, node: &Node, of: &Known<'s>, name: &str) {
        if !self.tells || self.wrong.is_some() || self.lacking.is_some() {
            return; // the first thing counts
        }
        let Some(members) = of.lacks(name) else {
            return; // it is there, or may be
        };
        let whose = match reference(node) {
            Some(it) => {
                let parts: Vec<String> = std::iter::once(it.root).chain(it.path).collect();
                format!("`{}`", parts.join("."))
            }
            None => of.kinds.told(),
        };
        self.lacking = Some(Wrong {
            what: format!("{whose} has no member `{name}`"),
            cure: suggest("member", name, members.keys().map(String::as_str)),
        });
    }

    fn index(&mut self, of: &Node, index: &Node) -> Known<'s> {
        let node = of;
        let of = self.node(node);
        if let Node::Text(name) = index {
            self.lack(node, &of, name);
            return self.member(&of, name);
        }
        let index = self.node(index).kinds;
        let keys = Kinds::TEXT.or(Kinds::NUMBER).or(Kinds::BOOL);
        let what = || {
            let told = index.told();
            format!("an index is text, a whole number, true or false, not {told}")
        };
        self.need(index, keys, what);
        let holds = Kinds::LIST.or(Kinds::OBJECT).or(Kinds::OPTIONAL);
        let what = || format!("{} has no elements", of.kinds.told());
        self.need(of.kinds, holds, what);
        let is_list = of.kinds.within(Kinds::LIST.or(Kinds::NULL));
        if is_list && !index.meets(Kinds::NUMBER) {
            let what = format!(
                "an element of a list has a number, and {} stands there",
                index.told()
            );
            self.tell(what, String::new());
        }
        match is_list {
            true => of.element(),
            false => Known::ANYTHING,
        }
    }

    fn binary(&mut self, binary: Binary, a: Kinds, b: Kinds) -> Known<'s> {
        let goes_with: &[Kinds] = match binary {
            Binary::Equal => {
                self.equality(a, b);
                return Known::of(Kinds::BOOL);
            }
            // One that always holds does no harm.
            Binary::NotEqual => return Known::of(Kinds::BOOL),
            Binary::In => {
                let what = || format!("`in` does not go with {} and {}", a.told(), b.told());
                self.need(b, Kinds::LIST.or(Kinds::OBJECT), what);
                return Known::of(Kinds::BOOL);
            }
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                &[Kinds::NUMBER, Kinds::TEXT, Kinds::BOOL]
            }
            Binary::Add => &[Kinds::NUMBER, Kinds::TEXT, Kinds::LIST],
            Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                &[Kinds::NUMBER]
            }
        };
        let both = |kind: &Kinds| a.meets(*kind) && b.meets(*kind);
        let fitting = goes_with.iter().copied().filter(both);
        let Some(kinds) = fitting.reduce(Kinds::or) else {
            let what = format!(
                "`{}` does not go with {} and {}",
                binary.symbol(),
                a.told(),
                b.told()
            );
            self.tell(what, conversion(a, b).to_owned());
            return Known::ANYTHING;
        };
        Known::of(match binary {
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                Kinds::BOOL
            }
            _ => kinds,
        })
    }

    /// Values of different kinds are never equal. To ask for null is a habit that harms nobody.
    fn equality(&mut self, a: Kinds, b: Kinds) {
        let asks_null = a == Kinds::NULL || b == Kinds::NULL;
        let plain = a.or(b).within(Kinds::JSON);
        if !a.meets(b) && plain && !asks_null {
            let what = format!("`==` never holds between {} and {}", a.told(), b.told());
            self.tell(what, conversion(a, b).to_owned());
        }
    }

    fn call(&mut self, function: Function, args: &[Node]) -> Known<'s> {
        let args: Vec<Known<'s>> = args.iter().map(|arg| self.node(arg)).collect();
        let Some((wanted, gives)) = signature(function) else {
            return Known::ANYTHING;
        };
        let fits = args
            .iter()
            .zip(wanted)
            .all(|(arg, kinds)| arg.kinds.meets(*kinds));
        if !fits {
            let told: Vec<String> = args.iter().map(|arg| arg.kinds.told()).collect();
            let what = format!(
                "`{}` does not go with {}",
                function.name(),
                told.join(" and ")
            );
            self.tell(what, String::new());
        }
        Known::of(gives)
    }

    fn list(&mut self, nodes: &[Node]) -> Known<'s> {
        let elements: Vec<Kinds> = nodes.iter().map(|node| self.node(node).kinds).collect();
        match elements.into_iter().reduce(Kinds::or) {
            Some(kinds) => Known::list(Known::of(kinds)),
            None => Known::of(Kinds::LIST),
        }
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Known<'s> {
        let mut members = BTreeMap::new();
        let mut all = true;
        for (key, value) in entries {
            self.node(key);
            let known = self.node(value);
            match key {
                Node::Text(name) => {
                    members.insert(name.clone(), known);
                }
                _ => all = false,
            }
        }
        match all {
            true => Known::record(members),
            false => Known::object(members),
        }
    }

    fn turns(&mut self, inner: &Loop) -> Known<'s> {
        let over = self.node(&inner.over);
        let what = || {
            format!(
                "a loop goes over a list or an object, not {}",
                over.kinds.told()
            )
        };
        self.need(over.kinds, Kinds::LIST.or(Kinds::OBJECT), what);
        let is_list = over.kinds.within(Kinds::LIST.or(Kinds::NULL));
        let element = match is_list {
            true => over.element(),
            false => Known::ANYTHING,
        };
        let start = self.node(&inner.start).kinds;
        self.set(inner.accu, Known::of(start));
        match (inner.two, is_list) {
            // The place or the key, and the element.
            (true, true) => self.set(inner.accu + 1, Known::of(Kinds::NUMBER)),
            (true, false) => self.set(inner.accu + 1, Known::ANYTHING),
            (false, _) => {}
        }
        let place = inner.accu + 1 + usize::from(inner.two);
        self.set(place, element);
        self.node(&inner.go_on);
        // One turn tells all: the accumulator only ever has the kinds of its start and of a step.
        let step = self.node(&inner.step).kinds;
        self.set(inner.accu, Known::of(start.or(step)));
        self.node(&inner.result)
    }
}

/// What a function takes, as far as it is looked at, and what it gives. None where it takes too many kinds of things
/// for something sure to be said of it.
fn signature(function: Function) -> Option<(&'static [Kinds], Kinds)> {
    use Function as F;
    use Kinds as K;
    const SCALAR: Kinds = K::NULL.or(K::BOOL).or(K::NUMBER).or(K::TEXT).or(K::NETWORK);
    const SIZED: Kinds = K::TEXT.or(K::LIST).or(K::OBJECT);
    const NUMERIC: Kinds = K::NUMBER.or(K::TEXT);
    const TRUTH: Kinds = K::BOOL.or(K::TEXT);
    const ORDERED: Kinds = K::TEXT.or(K::LIST);
    let (takes, gives): (&'static [Kinds], Kinds) = match function {
        F::Contains | F::StartsWith | F::EndsWith | F::Matches => (&[K::TEXT, K::TEXT], K::BOOL),
        F::LowerAscii | F::UpperAscii | F::Trim | F::Quote => (&[K::TEXT], K::TEXT),
        F::Replace => (&[K::TEXT, K::TEXT, K::TEXT, K::NUMBER], K::TEXT),
        F::Split => (&[K::TEXT, K::TEXT, K::NUMBER], K::LIST),
        F::Join => (&[K::LIST, K::TEXT], K::TEXT),
        F::CharAt => (&[K::TEXT, K::NUMBER], K::TEXT),
        F::IndexOf | F::LastIndexOf => (&[K::TEXT, K::TEXT, K::NUMBER], K::NUMBER),
        F::Substring => (&[K::TEXT, K::NUMBER, K::NUMBER], K::TEXT),
        F::Format => (&[K::TEXT, K::LIST], K::TEXT),
        F::Size => (&[SIZED], K::NUMBER),
        F::Reverse => (&[ORDERED], ORDERED),
        F::Flatten => (&[K::LIST, K::NUMBER], K::LIST),
        F::Distinct | F::Sort => (&[K::LIST], K::LIST),
        F::Slice => (&[K::LIST, K::NUMBER, K::NUMBER], K::LIST),
        F::Sum => (&[K::LIST], K::ANY),
        F::First | F::Last => (&[K::LIST], K::OPTIONAL),
        F::Range | F::ListsRange => (&[K::NUMBER], K::LIST),
        F::Text => (&[SCALAR], K::TEXT),
        F::Int | F::Uint | F::Double => (&[NUMERIC], K::NUMBER),
        F::Bool => (&[TRUTH], K::BOOL),
        F::Ceil | F::Floor | F::Round | F::Trunc | F::Abs | F::Sign | F::Sqrt | F::BitNot => {
            (&[K::NUMBER], K::NUMBER)
        }
        F::IsNan | F::IsInf | F::IsFinite => (&[K::NUMBER], K::BOOL),
        F::BitAnd | F::BitOr | F::BitXor | F::ShiftLeft | F::ShiftRight => {
            (&[K::NUMBER, K::NUMBER], K::NUMBER)
        }
        F::OptionalOf | F::OptionalOfNonZero | F::OptionalNone => (&[], K::OPTIONAL),
        F::HasValue => (&[K::OPTIONAL], K::BOOL),
        F::Value | F::OrValue => (&[K::OPTIONAL], K::ANY),
        F::Or => (&[K::OPTIONAL, K::OPTIONAL], K::OPTIONAL),
        _ => return None,
    };
    Some((takes, gives))
}

#[cfg(test)]
mod tests;
