//! Random plans, random answers, random order.

use proptest::prelude::*;

use super::*;

/// A plan of `needs`: step i may need steps before it.
fn dag(needs: &[Vec<bool>], foreach: &[u8], conditions: &[bool]) -> String {
    let mut body = String::from("steps:\n");
    for (index, needs) in needs.iter().enumerate() {
        let list: Vec<_> = needs
            .iter()
            .take(index)
            .enumerate()
            .filter(|(_, needed)| **needed)
            .map(|(need, _)| format!("s{need}"))
            .collect();
        let items = foreach.get(index).copied().unwrap_or(0);
        let each = match items {
            0 => String::new(),
            n => format!(
                ", foreach: {{items: {:?}, max_parallel: 2, fail_fast: false}}",
                (0..n).collect::<Vec<_>>()
            ),
        };
        let when = if conditions.get(index) == Some(&true) {
            ", when: 'false'"
        } else {
            ""
        };
        body.push_str(&format!(
            "  s{index}: {{uses: t, needs: [{}], retry: {{max_attempts: 2}}, continue_on_error: {}{each}{when}}}\n",
            list.join(", "), index % 2 == 0,
        ));
    }
    body.push_str("outputs:\n");
    for index in 0..needs.len() {
        body.push_str(&format!("  s{index}: '${{{{ steps.s{index} }}}}'\n"));
    }
    body
}

fn shape() -> impl Strategy<Value = (Vec<Vec<bool>>, Vec<u8>, Vec<bool>)> {
    (
        prop::collection::vec(prop::collection::vec(any::<bool>(), 8), 1..8),
        prop::collection::vec(0_u8..4, 8),
        prop::collection::vec(prop::bool::weighted(0.2), 8),
    )
}

/// Runs to the end. Each choice picks which open call is answered (or a timer) and how.
fn drive(run: &mut Run, choices: &[(u8, u8)], may_fail: bool) {
    let mut choices = choices.iter().cycle().copied();
    for _ in 0..10_000 {
        if run.end.is_some() {
            return;
        }
        let (pick, how) = choices.next().unwrap();
        if run.calls.is_empty() || (may_fail && how == 255 && !run.timers.is_empty()) {
            run.tick();
            continue;
        }
        let index = usize::from(pick) % run.calls.len();
        let path = run.calls[index].path.clone();
        let used = Amounts {
            calls: 1,
            fuel: u64::from(how),
            ..Amounts::default()
        };
        let result = match how {
            200..=229 if may_fail => {
                CallResult::Failed(Failure::new(FailureClass::Transient, "transient"))
            }
            230..=254 if may_fail => {
                CallResult::Failed(Failure::new(FailureClass::Failed, "failed"))
            }
            _ => CallResult::Output(json!(path)),
        };
        run.answer_with(index, result, used);
    }
    panic!("the run does not end");
}

/// Every step ended once, in a legal state, and none began before what it needs had ended.
fn check_history(run: &Run, needs: &[Vec<bool>]) {
    let mut ended: BTreeMap<String, usize> = BTreeMap::new();
    let mut started: BTreeMap<String, usize> = BTreeMap::new();
    for (place, note) in run.notes.iter().enumerate() {
        match note {
            Note::StepEnded(summary) => {
                assert!(summary.status.is_final(), "{summary:?}");
                assert!(
                    ended.insert(summary.path.clone(), place).is_none(),
                    "{}",
                    summary.path
                );
            }
            Note::StepStarted {
                path, attempt: 1, ..
            } => {
                let step = path.split('[').next().unwrap().to_owned();
                started.entry(step).or_insert(place);
            }
            _ => {}
        }
    }
    for (index, of_step) in needs.iter().enumerate() {
        let step = format!("s{index}");
        assert!(ended.contains_key(&step), "{step} has not ended");
        let Some(start) = started.get(&step) else {
            continue;
        };
        for (need, needed) in of_step.iter().take(index).enumerate() {
            assert!(
                !needed || ended[&format!("s{need}")] < *start,
                "{step} before s{need}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_run_ends_in_a_legal_state_after_its_needs(
        (needs, foreach, conditions) in shape(),
        choices in prop::collection::vec(any::<(u8, u8)>(), 1..60),
    ) {
        let mut run = Run::of(&dag(&needs, &foreach, &conditions));
        drive(&mut run, &choices, true);
        check_history(&run, &needs);
        let end = run.end.as_ref().unwrap();
        prop_assert!(matches!(end.exit, Exit::Ok | Exit::Plugin | Exit::Limit), "{:?}", end.exit);
        prop_assert!(run.planner.open_calls().is_empty());
        // A call that was stopped and did not answer in its grace is given up: whoever makes it may still be at it.
        prop_assert!(run.calls.iter().all(|call| run.cancelled.contains(&call.id.0)));
        prop_assert!(run.timers.is_empty());
    }

    #[test]
    fn the_order_of_answers_does_not_change_the_outputs(
        (needs, foreach, conditions) in shape(),
        a in prop::collection::vec(any::<(u8, u8)>(), 1..40),
        b in prop::collection::vec(any::<(u8, u8)>(), 1..40),
    ) {
        let body = dag(&needs, &foreach, &conditions);
        let (mut first, mut second) = (Run::of(&body), Run::of(&body));
        drive(&mut first, &a, false);
        drive(&mut second, &b, false);
        prop_assert_eq!(&first.end.as_ref().unwrap().outputs, &second.end.as_ref().unwrap().outputs);
        for (index, items) in foreach.iter().take(needs.len()).enumerate() {
            if *items > 0 && !conditions[index] {
                let expected: Vec<_> = (0..*items).map(|n| format!("s{index}[{n}]")).collect();
                let outputs = &first.end.as_ref().unwrap().outputs;
                prop_assert_eq!(&outputs[&format!("s{index}")]["outputs"], &json!(expected));
            }
        }
    }

    #[test]
    fn the_same_events_give_the_same_actions(
        (needs, foreach, conditions) in shape(),
        choices in prop::collection::vec(any::<(u8, u8)>(), 1..60),
    ) {
        let body = dag(&needs, &foreach, &conditions);
        let (mut first, mut second) = (Run::of(&body), Run::of(&body));
        drive(&mut first, &choices, true);
        drive(&mut second, &choices, true);
        prop_assert_eq!(first.log, second.log);
    }

    #[test]
    fn no_more_items_than_allowed_are_at_work(
        items in 1_usize..40,
        parallel in 1_usize..9,
        choices in prop::collection::vec(any::<(u8, u8)>(), 1..40),
    ) {
        let list: Vec<_> = (0..items).collect();
        let mut run = Run::of(&format!(
            "steps: {{a: {{uses: t, foreach: {{items: {list:?}, max_parallel: {parallel}}}}}}}\n"
        ));
        drive(&mut run, &choices, false);
        prop_assert_eq!(run.most_parallel, items.min(parallel));
    }

    #[test]
    fn any_event_at_any_time_is_survived(
        (needs, foreach, conditions) in shape(),
        noise in prop::collection::vec((0_u8..6, 0_u64..30, 0_u64..5_000), 1..80),
    ) {
        let mut run = Run::of(&dag(&needs, &foreach, &conditions));
        for (what, id, time) in noise {
            run.now = time;
            let call = crate::planner::CallId(id);
            let result = match what {
                0 => CallResult::Output(json!(1)),
                1 => CallResult::Verdict(Verdict::Pass { findings: Vec::new() }),
                _ => CallResult::Failed(Failure::new(FailureClass::Timeout, "x")),
            };
            run.calls.retain(|open| what > 2 || open.id != call);
            let event = match what {
                0..=2 => Event::CallFinished { call, result, used: Amounts::default() },
                3 => Event::TimerFired { timer: TimerId(id) },
                4 => Event::Started,
                _ if id == 0 => Event::Cancelled { reason: "x".to_owned() },
                _ => continue,
            };
            run.feed(event);
        }
        run.timers.retain(|_| true);
        run.feed(Event::Cancelled { reason: "x".to_owned() });
        run.feed(Event::Cancelled { reason: "x".to_owned() });
        prop_assert!(run.planner.is_finished());
    }
}

#[test]
fn a_thousand_steps_cost_the_same_as_one() {
    for body in [
        (0..1_000)
            .map(|n| format!("  s{n}: {{uses: t}}\n"))
            .collect::<String>(),
        (1..1_000).fold("  s0: {uses: t}\n".to_owned(), |all, n| {
            format!(
                "{all}  s{n}: {{uses: t, needs: [s{}], with: '${{{{ steps.s{}.output }}}}'}}\n",
                n - 1,
                n - 1
            )
        }),
    ] {
        let mut run = Run::of(&format!("steps:\n{body}"));
        let mut answers = 0;
        while run.end.is_none() {
            let before = run.log.len();
            run.answer_with(0, CallResult::Output(json!("x")), Amounts::default());
            answers += 1;
            let last = run.end.is_some();
            assert!(
                last || run.log.len() - before <= 6,
                "an answer causes a bounded answer"
            );
        }
        assert_eq!(answers, 1_000);
    }
}
