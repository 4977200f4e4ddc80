//! Workflows against a reference in memory that knows nothing of events: it walks the steps in the order
//! of the file and says how each has to end.

use proptest::prelude::*;

use super::*;

/// Attempts of every step.
const ATTEMPTS: u8 = 2;

/// A step as the reference knows it.
#[derive(Debug, Clone)]
struct Row {
    /// Which of the steps before it it needs.
    needs: Vec<bool>,
    /// Whether its condition does not hold.
    skipped: bool,
    /// Attempts that fail before one goes well: from [`ATTEMPTS`] on, the step fails.
    fails: u8,
    /// Whether its failure is borne.
    borne: bool,
    /// Items that it does its work for; none: once.
    items: Option<u8>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        prop::collection::vec(any::<bool>(), 8),
        prop::bool::weighted(0.15),
        prop_oneof![6 => Just(0_u8), 2 => Just(1), 1 => Just(ATTEMPTS)],
        prop::bool::weighted(0.7),
        prop_oneof![3 => Just(None), 1 => (0_u8..4).prop_map(Some)],
    );
    let row = row.prop_map(|(needs, skipped, fails, borne, items)| Row {
        needs,
        skipped,
        fails,
        borne,
        items,
    });
    prop::collection::vec(row, 1..8)
}

fn text(rows: &[Row]) -> String {
    let mut body = String::from("steps:\n");
    for (index, row) in rows.iter().enumerate() {
        let needs = row.needs.iter().take(index).enumerate();
        let needs: Vec<String> = needs
            .filter(|(_, needed)| **needed)
            .map(|(need, _)| format!("s{need}"))
            .collect();
        let when = if row.skipped { ", when: 'false'" } else { "" };
        let each = row.items.map_or_else(String::new, |items| {
            let items: Vec<u8> = (0..items).collect();
            format!(", foreach: {{items: {items:?}, max_parallel: 2}}")
        });
        body.push_str(&format!(
            "  s{index}: {{uses: t, needs: [{}], retry: {{max_attempts: {ATTEMPTS}}}, continue_on_error: \
             {}{each}{when}}}\n",
            needs.join(", "),
            row.borne,
        ));
    }
    body
}

/// How a step ends, and how often its plugin is asked.
fn reference(row: &Row) -> (StepStatus, u64) {
    let failing = u64::from(row.fails.min(ATTEMPTS));
    let succeeds = row.fails < ATTEMPTS;
    match (row.skipped, row.items) {
        (true, _) => (StepStatus::Skipped, 0),
        (false, Some(0)) => (StepStatus::Ok, 0),
        (false, items) if succeeds => (
            StepStatus::Ok,
            (failing + 1) * u64::from(items.unwrap_or(1)),
        ),
        (false, _) => (StepStatus::Failed, failing),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_workflows_end_as_the_reference_says(
        rows in rows(),
        picks in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut run = Run::of(&text(&rows));
        let mut picks = picks.iter().cycle();
        let mut asked: BTreeMap<String, u64> = BTreeMap::new();
        while run.end.is_none() {
            if run.calls.is_empty() {
                run.tick();
                continue;
            }
            let index = usize::from(*picks.next().unwrap()) % run.calls.len();
            let call = run.calls[index].clone();
            let step = call.path.split('[').next().unwrap().to_owned();
            let row = &rows[step[1..].parse::<usize>().unwrap()];
            let result = match call.attempt > u32::from(row.fails) {
                true => CallResult::Output(json!(call.path)),
                false => CallResult::Failed(Failure::new(FailureClass::Transient, "not yet")),
            };
            *asked.entry(step).or_default() += 1;
            run.answer_with(index, result, Amounts { calls: 1, ..Amounts::default() });
        }
        let ends: Vec<(StepStatus, u64)> = rows.iter().map(reference).collect();
        let halts = rows.iter().zip(&ends).any(|(row, end)| end.0 == StepStatus::Failed && !row.borne);
        let exit = run.end.as_ref().unwrap().exit;
        if halts {
            // What else was done by then depends on who was quicker.
            prop_assert_eq!(exit, Exit::Plugin);
            return Ok(());
        }
        prop_assert_eq!(exit, Exit::Ok);
        for (index, (status, calls)) in ends.iter().enumerate() {
            let step = format!("s{index}");
            prop_assert_eq!(run.status(&step), *status, "{}", step);
            let asked = asked.get(&step).copied().unwrap_or(0);
            match (status, rows[index].items) {
                // How many items had begun when the first failed depends on who was quicker.
                (StepStatus::Failed, Some(_)) => prop_assert!(asked >= *calls),
                _ => prop_assert_eq!(asked, *calls, "{}", step),
            }
        }
    }
}
