//! `multipleOf` in decimals. The validator divides binary floats, by which 19.99 is no multiple of 0.01;
//! JSON's numbers are decimals, and so is the question (JSON Schema validation, section 6.2.1).
//!
//! The validator cannot be given another division, but it takes formats of one's own: each multiplier of a
//! schema becomes a format, so that the answer also counts within `not`, `anyOf` and `contains`. A format
//! is a plain function without a state; which multiplier its number stands for is set for the time of a
//! check.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use boon::{Compiler, Format};
use serde_json::{Number, Value, json};

/// Most different multipliers of a schema; those beyond are left to the validator's own division.
const MULTIPLIERS_MAX: usize = 16;
/// Where a schema holds data and no schema.
const DATA: &[&str] = &["const", "enum", "default", "examples"];
/// Depth of a schema that is rewritten; the parser of JSON refuses more.
const DEPTH_MAX: usize = 128;

type Check = fn(&Value) -> Result<(), Box<dyn Error>>;

/// A format for each multiplier, by its number.
const FORMATS: [(&str, Check); MULTIPLIERS_MAX] = [
    ("flowhost-multiple-0", check::<0>),
    ("flowhost-multiple-1", check::<1>),
    ("flowhost-multiple-2", check::<2>),
    ("flowhost-multiple-3", check::<3>),
    ("flowhost-multiple-4", check::<4>),
    ("flowhost-multiple-5", check::<5>),
    ("flowhost-multiple-6", check::<6>),
    ("flowhost-multiple-7", check::<7>),
    ("flowhost-multiple-8", check::<8>),
    ("flowhost-multiple-9", check::<9>),
    ("flowhost-multiple-10", check::<10>),
    ("flowhost-multiple-11", check::<11>),
    ("flowhost-multiple-12", check::<12>),
    ("flowhost-multiple-13", check::<13>),
    ("flowhost-multiple-14", check::<14>),
    ("flowhost-multiple-15", check::<15>),
];

thread_local! {
    static IN_FORCE: RefCell<Rc<[Number]>> = RefCell::new(Rc::from([]));
}

/// The multipliers of a schema.
pub(crate) struct Multipliers {
    all: Rc<[Number]>,
}

/// Multipliers in force until it is dropped.
pub(crate) struct InForce(Rc<[Number]>);

impl Drop for InForce {
    fn drop(&mut self) {
        let before = Rc::clone(&self.0);
        IN_FORCE.with(|in_force| *in_force.borrow_mut() = before);
    }
}

impl Multipliers {
    /// Takes the multipliers out of a schema and puts a format in the place of each.
    pub(crate) fn take(schema: &mut Value) -> Self {
        let mut all = Vec::new();
        rewrite(schema, &mut all, DEPTH_MAX);
        Self { all: all.into() }
    }

    pub(crate) fn register(&self, compiler: &mut Compiler) {
        for (name, func) in FORMATS.iter().take(self.all.len()) {
            compiler.register_format(Format { name, func: *func });
        }
    }

    pub(crate) fn enter(&self) -> InForce {
        let all = Rc::clone(&self.all);
        InForce(IN_FORCE.with(|in_force| in_force.replace(all)))
    }
}

/// Whether a format stands for a multiplier.
pub(crate) fn is_ours(name: &str) -> bool {
    FORMATS.iter().any(|(known, _)| *known == name)
}

fn rewrite(schema: &mut Value, all: &mut Vec<Number>, depth: usize) {
    if depth == 0 {
        return;
    }
    match schema {
        Value::Array(items) => {
            for item in items {
                rewrite(item, all, depth - 1);
            }
        }
        Value::Object(entries) => {
            let names = entries.iter_mut();
            for (_, item) in names.filter(|(name, _)| !DATA.contains(&name.as_str())) {
                rewrite(item, all, depth - 1);
            }
            let Some(Value::Number(number)) = entries.get("multipleOf") else {
                return;
            };
            // What is not a multiplier is left for the validator to refuse.
            let name = positive(number).then(|| name_of(number, all)).flatten();
            let all_of = entries.get("allOf").is_none_or(Value::is_array);
            if let Some(name) = name.filter(|_| all_of) {
                entries.remove("multipleOf");
                let rules = entries.entry("allOf").or_insert_with(|| json!([]));
                if let Value::Array(rules) = rules {
                    rules.push(json!({ "format": name }));
                }
            }
        }
        _ => {}
    }
}

fn positive(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number > 0.0)
}

fn name_of(number: &Number, all: &mut Vec<Number>) -> Option<&'static str> {
    let place = all
        .iter()
        .position(|known| known == number)
        .unwrap_or_else(|| {
            all.push(number.clone());
            all.len() - 1
        });
    if place >= MULTIPLIERS_MAX {
        all.truncate(MULTIPLIERS_MAX);
    }
    FORMATS.get(place).map(|(name, _)| *name)
}

fn check<const PLACE: usize>(value: &Value) -> Result<(), Box<dyn Error>> {
    let Value::Number(number) = value else {
        return Ok(());
    };
    let multiplier = IN_FORCE.with(|in_force| in_force.borrow().get(PLACE).cloned());
    match multiplier {
        Some(multiplier) if !is_multiple(number, &multiplier) => {
            Err(format!("{number} is not a multiple of {multiplier}").into())
        }
        _ => Ok(()),
    }
}

/// A number as digits times a power of ten.
struct Decimal {
    digits: u128,
    power: i32,
}

impl Decimal {
    /// The number as JSON writes it, which is the shortest that reads back as the same.
    fn of(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let power = exponent.parse::<i32>().ok()?;
        let power = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Self { digits, power })
    }
}

fn is_multiple(number: &Number, multiplier: &Number) -> bool {
    let (Some(number), Some(multiplier)) = (Decimal::of(number), Decimal::of(multiplier)) else {
        // Only a build with numbers of any length gets here; what cannot be read does not fit.
        return false;
    };
    let shift = number.power - multiplier.power;
    if shift < 0 {
        // The multiplier is coarser: it has to be scaled up, and beyond the range only zero is left.
        let scale = 10_u128.checked_pow(shift.unsigned_abs());
        let coarse = scale.and_then(|scale| multiplier.digits.checked_mul(scale));
        return match coarse {
            Some(coarse) => number.digits.is_multiple_of(coarse),
            None => number.digits == 0,
        };
    }
    // Digits times ten to the shift, modulo the multiplier, without ever growing beyond it.
    let modulus = multiplier.digits;
    let mut rest = number.digits % modulus;
    for _ in 0..shift {
        let Some(ten) = rest.checked_mul(10) else {
            return false;
        };
        rest = ten % modulus;
    }
    rest == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiple(number: &str, multiplier: &str) -> bool {
        let read = |text: &str| serde_json::from_str(text).expect("a number");
        is_multiple(&read(number), &read(multiplier))
    }

    #[test]
    fn what_is_not_a_multiple_is_not_made_one_by_rounding() {
        for (number, multiplier) in [
            ("19.999", "0.01"),
            ("0.005", "0.01"),
            ("9007199254740993", "2"),
            ("1e-7", "1e-6"),
            ("5e-324", "1e300"),
        ] {
            assert!(!multiple(number, multiplier), "{number} {multiplier}");
        }
    }

    #[test]
    fn decimals_are_multiples_of_decimals() {
        for (number, multiplier) in [
            ("19.99", "0.01"),
            ("1070468.14", "0.01"),
            ("600.03", "0.01"),
            ("-4.35", "0.05"),
            ("0", "0.3"),
            ("0.0", "1e300"),
            ("1e300", "0.001"),
            ("1.5e3", "7.5"),
            ("18446744073709551615", "5"),
            ("3.0", "1.5"),
        ] {
            assert!(multiple(number, multiplier), "{number} {multiplier}");
        }
    }
}
