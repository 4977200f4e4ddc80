//! What the driver owes a planner and the world, seen through the traits that it is made of.

use flowhost_flow::Failure as FlowFailure;
use flowhost_flow::planner::RequestId;
use flowhost_ledger::{Fact, Kind, MemoryRecorder, Recorder};
use serde_json::json;

use super::*;
use crate::host::requests::Unheard;
use crate::standin::testing::{Ear, NoWorld, RUN, Scripted, envelope, machinery, purse, scope};

mod taken_up;

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
        held: false,
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
