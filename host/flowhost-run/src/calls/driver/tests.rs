//! What the driver owes a planner and the world, seen through the traits that it is made of.

use flowhost_caps::budget::Left;
use flowhost_flow::Failure as FlowFailure;
use flowhost_flow::planner::RequestId;
use flowhost_ledger::{Fact, Kind, MemoryRecorder, Recorder};
use serde_json::json;

use super::*;
use crate::earlier::resume::rebuild::Rebuilt;
use crate::earlier::resume::{Fed, past};
use crate::host::requests::Unheard;
use crate::meters::tally::Routed;
use crate::standin::testing::{Ear, NoWorld, RUN, Scripted, envelope, machinery, purse, scope};

const HOUR: Duration = Duration::from_secs(3_600);

fn driver(planner: Box<dyn Planner>, ledger: Arc<dyn Recorder>) -> Driver {
    let (scope, machinery, purse) = (scope(ledger.clone()), machinery(), purse());
    let own_calls = scope.own_calls.clone();
    Driver {
        planner,
        bus: machinery.bus,
        trace: trace::trace_id(&scope.run),
        journal: Journal::new(ledger.clone(), "default", false),
        registry: machinery.plugins,
        clock: RunClock::new(0),
        run: Run::new(RUN),
        deadline: Instant::now() + HOUR,
        waiting: VecDeque::new(),
        open: BTreeMap::new(),
        doubtful: BTreeMap::new(),
        begun: BTreeMap::new(),
        timers: BTreeSet::new(),
        due: HashMap::new(),
        steps: HashMap::new(),
        used: HashMap::new(),
        recording: Arc::new(Recording::new(ledger, own_calls, purse.clone())),
        purse,
        verdicts: HashMap::new(),
        stages: None,
        warnings: Vec::new(),
        checks: BTreeMap::new(),
        end: None,
        broken: None,
        spent: Amounts::default(),
        gates: BTreeMap::new(),
        world: Arc::new(NoWorld),
        pausing: None,
        paused: None,
        reuse: None,
        arisen: VecDeque::new(),
        made: VecDeque::new(),
        reused: Vec::new(),
        before: Amounts::default(),
        asked: None,
        stops_first: false,
        winding: None,
        channel: Channel::of(&scope, 0),
        scope,
    }
}

/// A driver whose planner says these turns, what that planner hears, and the ledger.
fn scripted(turns: Vec<Vec<Action>>) -> (Driver, Ear, Arc<MemoryRecorder>) {
    let ledger = Arc::new(MemoryRecorder::default());
    let (planner, ear) = Scripted::new(turns, &ledger);
    (driver(Box::new(planner), ledger.clone()), ear, ledger)
}

async fn run(driver: &mut Driver) {
    let answers = driver.channel.listen(&*driver.bus, "step.*.end").await;
    driver.run(answers.unwrap(), None).await;
}

fn finish() -> Action {
    Action::Finish(Box::new(RunEnd {
        exit: Exit::Ok,
        status: Exit::Ok.status(),
        outputs: serde_json::Map::new(),
        failure: None,
        used: Amounts::default(),
    }))
}

fn timer(number: u64) -> TimerId {
    TimerId(number)
}

fn set(number: u64, at: u64) -> Action {
    Action::SetTimer {
        timer: timer(number),
        at: Time(at),
    }
}

fn fired(ear: &Ear) -> Vec<TimerId> {
    let fired = ear.events().into_iter().filter_map(|event| match event {
        Event::TimerFired { timer } => Some(timer),
        _ => None,
    });
    fired.collect()
}

fn setup() -> RunSetup {
    RunSetup {
        run_id: RUN.to_owned(),
        plan_hash: "h".to_owned(),
        seed: 1,
        inputs: Default::default(),
        estimates: Default::default(),
        components: Default::default(),
        only: None,
        on_request: false,
    }
}

/// The first call that a planner of a real plan asks for.
fn call() -> Box<Call> {
    let text = "flowhost: v1\nkind: workflow\nname: one\n\
                plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
                steps: { greet: { uses: say } }\n";
    let plan = Plan::parse(text, "plan.yaml").unwrap();
    let mut planner = planner_for(Arc::new(plan), setup()).unwrap();
    let actions = planner.on(Event::Started, Time(0)).into_iter();
    let mut calls = actions.filter_map(|action| match action {
        Action::Call(call) => Some(call),
        _ => None,
    });
    calls.next().unwrap()
}

/// The same under another number.
fn numbered(number: u64) -> Box<Call> {
    let mut call = call();
    call.id = CallId(number);
    call
}

/// A run that another process left with these calls open, and what that had made of each.
fn left(calls: Vec<(u64, past::Made)>) -> Takeup {
    let open = calls.iter();
    let open = open.map(|(number, _)| (CallId(*number), numbered(*number)));
    let rebuilt = Rebuilt {
        at: Some(Time(0)),
        open: open.collect(),
        ..Rebuilt::default()
    };
    let past = past::Past {
        calls: calls.into_iter().collect(),
        ..past::Past::default()
    };
    let fed = Fed {
        setup: setup(),
        events: Vec::new(),
        ends: BTreeMap::new(),
    };
    Takeup::of(Resumed { past, rebuilt, fed })
}

/// A call that had ended well, of which the planner had not heard.
fn ended_well() -> past::Made {
    past::Made {
        result: Some(past::Known {
            result: CallResult::Output(json!("hello")),
            stands: Stands::Nowhere,
            detail: Detail::default(),
        }),
        ..past::Made::default()
    }
}

fn answer(call: u64) -> Envelope {
    answer_with(call, CallResult::Output(json!("hello")))
}

fn answer_with(call: u64, result: CallResult) -> Envelope {
    let answer = Answer {
        call,
        path: "greet".to_owned(),
        result,
        stands: Stands::Nowhere,
        used: Amounts::default(),
        detail: Detail::default(),
        whole: false,
    };
    let payload = serde_json::to_value(answer).unwrap();
    envelope("say", "step.end", payload)
}

fn answers_heard(ear: &Ear) -> usize {
    let events = ear.events().into_iter();
    events
        .filter(|event| matches!(event, Event::CallFinished { .. }))
        .count()
}

#[tokio::test(start_paused = true)]
async fn every_event_is_a_record_before_the_planner_hears_it() {
    let (mut driver, ear, ledger) =
        scripted(vec![vec![set(1, 5)], vec![set(2, 9)], vec![finish()]]);
    run(&mut driver).await;
    let heard = ear.all();
    assert_eq!(heard.len(), 3, "{heard:?}");
    for (turn, heard) in heard.iter().enumerate() {
        assert_eq!(heard.records, turn + 1, "{heard:?}");
    }
    let kinds: Vec<Kind> = ledger.facts().iter().map(|fact| fact.kind).collect();
    assert_eq!(kinds, [Kind::PlannerEvent; 3]);
}

#[tokio::test(start_paused = true)]
async fn timers_fire_in_the_order_of_their_times_as_they_were_set_last() {
    let turns = vec![
        vec![set(1, 30), set(2, 20), set(3, 10), set(1, 15)],
        vec![],
        vec![],
        vec![finish()],
    ];
    let (mut driver, ear, _) = scripted(turns);
    run(&mut driver).await;
    assert_eq!(fired(&ear), [timer(3), timer(1), timer(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_was_cleared_does_not_fire() {
    let clear = Action::ClearTimer { timer: timer(1) };
    let (mut driver, ear, _) = scripted(vec![vec![set(1, 10), set(2, 20), clear], vec![finish()]]);
    run(&mut driver).await;
    assert_eq!(fired(&ear), [timer(2)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_turn_is_done_after_its_end() {
    let (mut driver, ear, _) = scripted(vec![vec![set(1, 10), set(2, 10)], vec![finish()]]);
    run(&mut driver).await;
    assert_eq!(
        fired(&ear),
        [timer(1)],
        "the second was due at the same time"
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_a_run_to_stop_is_heard_once_and_with_the_first_reason() {
    let (mut driver, ear, _) = scripted(vec![vec![], vec![set(1, 10)], vec![finish()]]);
    driver.run.cancel("interrupted");
    driver.run.cancel("again");
    run(&mut driver).await;
    let reasons = ear.events().into_iter().filter_map(|event| match event {
        Event::Cancelled { reason } => Some(reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), ["interrupted"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_plugin_that_is_not_there_is_answered_for() {
    let call = call();
    let id = call.id;
    let (mut driver, ear, _) = scripted(vec![vec![Action::Call(call)], vec![finish()]]);
    run(&mut driver).await;
    let events = ear.events();
    let Event::CallFinished { call, result, used } = &events[1] else {
        panic!("{events:?}");
    };
    assert_eq!((*call, *used), (id, Amounts::default()));
    let CallResult::Failed(failure) = result else {
        panic!("{result:?}");
    };
    assert_eq!(failure.message, "the plugin `say` is not one of this run's");
    assert!(driver.open.is_empty(), "nobody will answer it any more");
}

#[tokio::test(start_paused = true)]
async fn what_comes_up_in_a_turn_stands_behind_all_that_the_planner_said_in_it() {
    let note = || {
        Action::Note(Note::Warning {
            path: "greet".to_owned(),
            about: "check",
            message: "look".to_owned(),
        })
    };
    let turns = vec![
        vec![Action::Call(call()), note(), note()],
        vec![note()],
        vec![finish()],
    ];
    let (mut driver, ear, ledger) = scripted(turns);
    driver.feed(Event::Started).await;
    let kinds: Vec<Kind> = ledger.facts().iter().map(|fact| fact.kind).collect();
    let (event, warning) = (Kind::PlannerEvent, Kind::GuardVerdict);
    assert_eq!(kinds, [event, warning, warning, event, warning]);
    assert_eq!(ear.all()[1].records, 4, "it hears of the call after that");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_still_waits_for_room_is_cancelled_on_the_spot() {
    let call = call();
    let id = call.id;
    let (mut driver, ear, _) = scripted(vec![vec![]]);
    driver.open.insert(id.0, None);
    driver.waiting.push_back(call);
    driver.cancel(id, "enough".to_owned()).await;
    assert!(driver.waiting.is_empty() && driver.open.is_empty());
    assert_eq!(answers_heard(&ear), 0, "the turn at hand is not over");
    let events = &driver.arisen;
    let [Event::CallFinished { result, .. }] = events.as_slices().0 else {
        panic!("{events:?}");
    };
    assert!(
        matches!(
            result,
            CallResult::Failed(FlowFailure {
                class: FailureClass::Cancelled,
                ..
            })
        ),
        "{result:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_stopped_by_the_end_of_another_is_not_made_again_and_what_it_used_counts() {
    let begun = past::Made {
        begun: true,
        spent: Left {
            tokens: 5,
            micro_usd: 7,
        },
        routed: Routed {
            calls: 2,
            detail: Detail::default(),
        },
        ..past::Made::default()
    };
    let takeup = left(vec![(1, ended_well()), (2, begun)]);
    let stop = Action::Cancel {
        call: CallId(2),
        reason: "decided".to_owned(),
    };
    let (mut driver, ear, _) = scripted(vec![vec![stop]]);
    takeup.restore(&driver.purse, &machinery().tally, &driver.recording);
    driver.take_up(takeup).await;
    let events = ear.events();
    let [
        Event::CallFinished { call: ended, .. },
        Event::CallFinished { call, result, used },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!((ended.0, call.0), (1, 2));
    assert!(
        matches!(result, CallResult::Failed(it) if it.class == FailureClass::Cancelled),
        "{result:?}"
    );
    assert_eq!((used.calls, used.tokens, used.micro_usd), (3, 5, 7));
    assert!(driver.waiting.is_empty() && driver.open.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_in_a_run_that_is_taken_up_to_be_stopped_before_its_planner_has_heard_of_it()
{
    let turns = vec![vec![Action::Call(numbered(2))], vec![], vec![finish()]];
    let (mut driver, ear, _) = scripted(turns);
    driver.run.cancel("enough");
    let answers = driver.channel.listen(&*driver.bus, "step.*.end").await;
    let takeup = left(vec![(1, ended_well())]);
    driver.run(answers.unwrap(), Some(takeup)).await;
    let events = ear.events();
    // The second was not stopped by that, and is ordered then: it is answered for, as there is no such plugin here.
    assert!(
        matches!(
            events.as_slice(),
            [
                Event::CallFinished { .. },
                Event::Cancelled { .. },
                Event::CallFinished { .. }
            ]
        ),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_another_process_had_begun_is_in_doubt_however_it_is_not_made_again() {
    let (mut driver, ear, _) = scripted(vec![]);
    let begun = Begun {
        routed: Routed::default(),
        doubtful: true,
    };
    for number in 1..=3 {
        driver.open.insert(number, None);
        driver.begun.insert(number, begun);
    }
    // One is stopped while it waits, one cannot be ordered, and the order of one nobody has taken.
    driver.waiting.extend([numbered(1), numbered(2)]);
    driver.cancel(CallId(1), "enough".to_owned()).await;
    driver.drain().await;
    let stopped = FlowFailure::new(FailureClass::Cancelled, "the call was stopped");
    let stopped = answer_with(3, CallResult::Failed(stopped));
    driver.answered(Arc::new(stopped)).await;
    let mut heard = Vec::new();
    for event in ear.events() {
        let Event::CallFinished {
            call,
            result: CallResult::Failed(failure),
            ..
        } = &event
        else {
            panic!("{event:?}");
        };
        assert!(failure.is_in_doubt(), "{failure:?}");
        heard.push(call.0);
    }
    assert_eq!(heard, [3, 1, 2]);
    assert!(driver.begun.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_bus_delivers_twice_is_heard_once() {
    let (mut driver, ear, ledger) = scripted(vec![]);
    driver.open.insert(3, None);
    for _ in 0..2 {
        driver.answered(Arc::new(answer(3))).await;
    }
    assert_eq!(answers_heard(&ear), 1);
    assert_eq!(ledger.facts().len(), 1, "and stands in one record");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_call_that_nobody_made_is_not_heard() {
    let (mut driver, ear, ledger) = scripted(vec![]);
    driver.answered(Arc::new(answer(3))).await;
    assert_eq!((ear.all().len(), ledger.facts().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_ends_the_host_and_is_told_once() {
    let (mut driver, _, _) = scripted(vec![]);
    driver.open.insert(3, None);
    let odd = envelope("say", "step.end", json!({ "call": "three" }));
    for _ in 0..2 {
        driver.answered(Arc::new(odd.clone())).await;
    }
    let events = &driver.arisen;
    let [Event::HostFailed { failure }] = events.as_slices().0 else {
        panic!("{events:?}");
    };
    assert!(failure.message.contains("cannot be read"), "{failure:?}");
    assert_eq!(failure.class, FailureClass::Internal);
}

/// Takes so many records and no more.
struct Short {
    ledger: Arc<MemoryRecorder>,
    most: usize,
}

impl Recorder for Short {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        if self.ledger.facts().len() >= self.most {
            return Err(LedgerError::Poisoned("the disk is full".to_owned()));
        }
        self.ledger.append(fact)
    }

    fn durable(
        &self,
        seq: u64,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        self.ledger.durable(seq)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_on_record_the_planner_does_not_hear_but_that_the_host_failed() {
    let ledger = Arc::new(MemoryRecorder::default());
    let call = call();
    let turns = vec![vec![set(1, 10)], vec![Action::Call(call)], vec![finish()]];
    let (planner, ear) = Scripted::new(turns, &ledger);
    let short = Arc::new(Short {
        ledger: ledger.clone(),
        most: 1,
    });
    let mut driver = driver(Box::new(planner), short);
    run(&mut driver).await;
    let events = ear.events();
    let [
        Event::Started,
        Event::HostFailed { failure },
        Event::CallFinished { result, .. },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert!(failure.message.contains("the disk is full"), "{failure:?}");
    let CallResult::Failed(refused) = result else {
        panic!("{result:?}");
    };
    assert_eq!(
        refused.message, "the host cannot go on",
        "nothing new begins"
    );
    assert_eq!(ledger.facts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_ended_hears_of_nothing_but_that_its_host_failed_in_its_last_turn() {
    let (mut driver, ear, ledger) = scripted(vec![vec![Action::Call(call()), finish()]]);
    driver.feed(Event::Started).await;
    assert_eq!((ear.all().len(), ledger.facts().len()), (1, 1));
    assert!(driver.arisen.is_empty());
    let (mut driver, ear, ledger) = scripted(vec![vec![finish()]]);
    driver.broken("the disk is full");
    driver.feed(Event::Started).await;
    assert_eq!((ear.all().len(), ledger.facts().len()), (2, 2));
    let end = driver.end.as_ref().map(|end| end.exit);
    assert_eq!(end, Some(Exit::Internal));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_when_the_host_fails_is_answered_for_when_it_is_stopped() {
    let (mut driver, _, _) = scripted(vec![]);
    driver.open.insert(1, None);
    driver.waiting.push_back(numbered(1));
    driver.broken("the disk is full");
    driver.cancel(CallId(1), "the host failed".to_owned()).await;
    assert!(driver.open.is_empty(), "nobody else answers for it");
    let arisen: Vec<Event> = driver.arisen.drain(..).collect();
    assert!(
        matches!(
            arisen.as_slice(),
            [Event::HostFailed { .. }, Event::CallFinished { .. }]
        ),
        "{arisen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lets_go_of_its_process_sends_no_new_call() {
    let (mut driver, ear, _) = scripted(vec![vec![Action::Call(call())]]);
    driver.run.pause(Exit::Terminated);
    driver.pausing = Some((Exit::Terminated, Instant::now() + HOUR));
    driver.feed(Event::Started).await;
    assert_eq!(driver.waiting.len(), 1, "it waits for whoever goes on");
    assert_eq!(answers_heard(&ear), 0);
}

/// A driver of a run that is open to requests, and the run.
fn on_request(turns: Vec<Vec<Action>>) -> (Driver, Run, Ear) {
    let (mut driver, ear, _) = scripted(turns);
    driver.run = Run::on_request(RUN);
    driver.asked = Some(Asked::new(None));
    let run = driver.run.clone();
    (driver, run, ear)
}

#[tokio::test(start_paused = true)]
async fn a_request_is_a_record_before_the_planner_hears_of_it_and_what_it_replies_goes_to_whoever_asked()
 {
    let reply = Action::Reply {
        request: RequestId(0),
        path: "say[0]".to_owned(),
        result: Ok(json!("hello")),
    };
    let (mut driver, asked, ear) = on_request(vec![vec![], vec![reply], vec![finish()]]);
    let requested = asked.request("say", json!({ "text": "a" })).unwrap();
    assert_eq!(requested.path(), "say[0]");
    asked.close(None);
    assert!(!asked.is_open());
    let late = asked.request("say", json!({}));
    assert!(matches!(late, Err(Unheard::Closed)));
    run(&mut driver).await;
    let replied = requested.reply().await.unwrap();
    let whole = json!({ "value": "hello", "parts": [] });
    assert_eq!(replied.result.unwrap(), whole);
    let heard = ear.all();
    for (turn, heard) in heard.iter().enumerate() {
        assert_eq!(heard.records, turn + 1, "{heard:?}");
    }
    let events = ear.events();
    assert!(matches!(
        events.as_slice(),
        [
            Event::Started,
            Event::Requested { step, .. },
            Event::Closed { stops: None }
        ] if step == "say"
    ));
}

#[tokio::test(start_paused = true)]
async fn who_asks_a_run_that_ends_is_told_that_nothing_of_it_is_on_record() {
    let (mut driver, asked, ear) = on_request(vec![vec![finish()]]);
    let requested = asked.request("say", json!({})).unwrap();
    run(&mut driver).await;
    assert!(matches!(requested.reply().await, Err(Unheard::Closed)));
    assert_eq!(ear.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_gives_beside_its_value_goes_to_who_asked_for_that_whoever_is_replied_to_first()
{
    let replied = |number: u64, result| Action::Reply {
        request: RequestId(number),
        path: format!("say[{number}]"),
        result,
    };
    let refused = FlowFailure::new(FailureClass::Budget, "nothing is left");
    let ended = vec![replied(1, Err(refused)), replied(0, Ok(json!("handed on")))];
    let (mut driver, asked, _) = on_request(vec![vec![], vec![], ended]);
    let first = asked.request("say", json!({})).unwrap();
    let second = asked.request("say", json!({})).unwrap();
    let mut wishes = driver.run.wishes();
    for _ in 0..2 {
        let wish = wished(&mut wishes).await;
        driver.wish(wish).await;
    }
    let content = json!({ "value": 1, "parts": [{ "type": "text", "text": "beside" }] });
    let answer = Answer {
        call: 3,
        path: "say[0]".to_owned(),
        result: CallResult::Output(content),
        stands: Stands::Content,
        used: Amounts::default(),
        detail: Detail::default(),
        whole: true,
    };
    driver.open.insert(3, None);
    let payload = serde_json::to_value(answer).unwrap();
    let answer = envelope("say", "step.end", payload);
    driver.answered(Arc::new(answer)).await;
    let given = first.reply().await.unwrap().result.unwrap();
    assert_eq!(
        given,
        json!({ "value": "handed on", "parts": [{ "type": "text", "text": "beside" }] })
    );
    assert!(second.reply().await.unwrap().result.is_err());
}
