//! A bus over a Unix socket: one process has the queues, another reads and writes them through a
//! connection. Enough of an adapter to show what the seam asks of a carrier: whatever a connection had
//! taken and not acknowledged is handed out again when it is gone.
//!
//! Frames are a length and a JSON document. Requests carry a number, and their answer carries it back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{
    Bus, BusError, Delivery, Envelope, LocalBus, Pattern, Receipt, Settle, Subject,
    SubscribeOptions, Subscription,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

async fn read_frame(stream: &mut OwnedReadHalf) -> Option<Value> {
    let length = stream.read_u32().await.ok()?;
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(serde_json::from_slice(&bytes).unwrap())
}

async fn write_frame(stream: &AsyncMutex<OwnedWriteHalf>, frame: &Value) -> Option<()> {
    let bytes = serde_json::to_vec(frame).unwrap();
    let mut stream = stream.lock().await;
    stream
        .write_u32(u32::try_from(bytes.len()).unwrap())
        .await
        .ok()?;
    stream.write_all(&bytes).await.ok()
}

fn text(frame: &Value, name: &str) -> String {
    frame[name].as_str().unwrap().to_owned()
}

fn number(frame: &Value, name: &str) -> u64 {
    frame[name].as_u64().unwrap()
}

fn packed(envelope: &Envelope) -> String {
    String::from_utf8(envelope.to_vec().unwrap()).unwrap()
}

fn unpacked(frame: &Value) -> Arc<Envelope> {
    Arc::new(Envelope::from_slice(text(frame, "envelope").as_bytes()).unwrap())
}

/// What the process with the queues does with an envelope that comes from another.
pub(crate) type Look = Arc<dyn Fn(&Subject) -> Pass + Send + Sync>;

/// Whether an envelope goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    On,
    /// It is lost, and its sender never hears of it.
    Lost,
}

/// Serves the queues of `bus` on a socket, for as long as the runtime lives.
pub(crate) fn serve(bus: Arc<LocalBus>, path: &Path, look: Look) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(bus.clone(), stream, look.clone()));
        }
    });
}

type Queue = Arc<AsyncMutex<Box<dyn Subscription>>>;

/// What one connection has opened and taken. Dropped with it: then its deliveries come again.
struct Peer {
    bus: Arc<LocalBus>,
    look: Look,
    next: AtomicU64,
    queues: Mutex<HashMap<u64, Queue>>,
    taken: Mutex<HashMap<u64, Delivery>>,
}

async fn connection(bus: Arc<LocalBus>, stream: UnixStream, look: Look) {
    let (mut frames, answers) = stream.into_split();
    let answers = Arc::new(AsyncMutex::new(answers));
    let peer = Arc::new(Peer {
        bus,
        look,
        next: AtomicU64::new(1),
        queues: Mutex::default(),
        taken: Mutex::default(),
    });
    // Dropped at the end of the connection, and with it whatever still waits for a queue.
    let mut at_work = JoinSet::new();
    while let Some(frame) = read_frame(&mut frames).await {
        let (peer, answers) = (peer.clone(), answers.clone());
        at_work.spawn(async move {
            let id = number(&frame, "id");
            if let Some(done) = peer.perform(&frame).await {
                let answer = match done {
                    Ok(done) => json!({ "id": id, "ok": done }),
                    Err(error) => json!({ "id": id, "error": failed(&error) }),
                };
                let _gone = write_frame(&answers, &answer).await;
            }
        });
        while at_work.try_join_next().is_some() {}
    }
}

impl Peer {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Does what was asked; nothing for what is lost.
    async fn perform(&self, frame: &Value) -> Option<Result<Value, BusError>> {
        Some(match text(frame, "op").as_str() {
            "publish" | "try" => {
                let subject = Subject::parse(&text(frame, "subject")).unwrap();
                if (self.look)(&subject) == Pass::Lost {
                    return None;
                }
                let sent = match text(frame, "op").as_str() {
                    "try" => self.bus.try_publish(&subject, unpacked(frame)).await,
                    _ => self.bus.publish(&subject, unpacked(frame)).await,
                };
                sent.map(|it| json!({ "queues": it.queues, "duplicate": it.duplicate }))
            }
            "request" => {
                let subject = Subject::parse(&text(frame, "subject")).unwrap();
                let longest = Duration::from_millis(number(frame, "timeout_ms"));
                let answer = self.bus.request(&subject, unpacked(frame), longest).await;
                answer.map(|it| json!({ "envelope": packed(&it) }))
            }
            "subscribe" => self.subscribe(frame).await,
            "next" => self.take(number(frame, "queue")).await,
            "close" => {
                self.queues.lock().unwrap().remove(&number(frame, "queue"));
                Ok(Value::Null)
            }
            "ack" | "drop" | "answer" => {
                let taken = self
                    .taken
                    .lock()
                    .unwrap()
                    .remove(&number(frame, "delivery"));
                let delivery = taken.unwrap();
                match text(frame, "op").as_str() {
                    "ack" => delivery.ack().await.map(|()| Value::Null),
                    "answer" => delivery.answer(unpacked(frame)).await.map(|()| Value::Null),
                    _ => Ok(Value::Null),
                }
            }
            other => panic!("no operation {other}"),
        })
    }

    async fn subscribe(&self, frame: &Value) -> Result<Value, BusError> {
        let options = SubscribeOptions {
            group: text(frame, "group"),
            messages_max: usize::try_from(number(frame, "messages_max")).unwrap(),
            deliveries_max: u32::try_from(number(frame, "deliveries_max")).unwrap(),
        };
        let pattern = Pattern::parse(&text(frame, "pattern")).unwrap();
        let queue = self.bus.subscribe(pattern, options).await?;
        let number = self.number();
        let queue = Arc::new(AsyncMutex::new(queue));
        self.queues.lock().unwrap().insert(number, queue);
        Ok(json!({ "queue": number }))
    }

    async fn take(&self, queue: u64) -> Result<Value, BusError> {
        let queue = self.queues.lock().unwrap().get(&queue).cloned();
        let Some(queue) = queue else {
            return Err(BusError::Carrier("the queue is closed".to_owned()));
        };
        let delivery = queue.lock().await.next().await?;
        let number = self.number();
        let told = json!({
            "delivery": number,
            "subject": delivery.subject.as_str(),
            "envelope": packed(&delivery.envelope),
            "attempt": delivery.attempt,
            "wants_answer": delivery.wants_answer(),
        });
        self.taken.lock().unwrap().insert(number, delivery);
        Ok(told)
    }
}

fn failed(error: &BusError) -> Value {
    match error {
        BusError::Full { pattern, allowed } => json!({ "full": pattern, "allowed": allowed }),
        other => json!({ "carrier": other.to_string() }),
    }
}

fn failure(error: &Value) -> BusError {
    match error["full"].as_str() {
        Some(pattern) => BusError::Full {
            pattern: pattern.to_owned(),
            allowed: usize::try_from(number(error, "allowed")).unwrap(),
        },
        None => BusError::Carrier(text(error, "carrier")),
    }
}

/// The bus as another process has it.
#[derive(Clone)]
pub(crate) struct SocketBus(Arc<Connection>);

struct Connection {
    writer: AsyncMutex<OwnedWriteHalf>,
    next: AtomicU64,
    /// Who waits for which answer; nobody once the connection is gone.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Value>>>>,
}

impl SocketBus {
    pub(crate) async fn connect(path: PathBuf) -> Self {
        let (mut reader, writer) = connected(&path).await.into_split();
        let connection = Arc::new(Connection {
            writer: AsyncMutex::new(writer),
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
        });
        let heard = connection.clone();
        tokio::spawn(async move {
            while let Some(frame) = read_frame(&mut reader).await {
                let mut waiting = heard.waiting.lock().unwrap();
                let waiting = waiting.as_mut().unwrap().remove(&number(&frame, "id"));
                let _nobody = waiting.map(|it| it.send(frame));
            }
            heard.waiting.lock().unwrap().take();
        });
        Self(connection)
    }

    /// Sends a question, and gives what its answer will come through.
    async fn begin(&self, mut frame: Value) -> Result<oneshot::Receiver<Value>, BusError> {
        let gone = || BusError::Carrier("the connection is gone".to_owned());
        let id = self.0.next.fetch_add(1, Relaxed);
        frame["id"] = json!(id);
        let (sender, answer) = oneshot::channel();
        match self.0.waiting.lock().unwrap().as_mut() {
            Some(waiting) => drop(waiting.insert(id, sender)),
            None => return Err(gone()),
        }
        write_frame(&self.0.writer, &frame).await.ok_or_else(gone)?;
        Ok(answer)
    }

    async fn ask(&self, frame: Value) -> Result<Value, BusError> {
        answered(self.begin(frame).await?.await)
    }
}

/// The driver makes the socket when its run begins, which may be after this process did.
async fn connected(path: &Path) -> UnixStream {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < until, "{}: {error}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn answered(answer: Result<Value, oneshot::error::RecvError>) -> Result<Value, BusError> {
    let frame = answer.map_err(|_| BusError::Carrier("the connection is gone".to_owned()))?;
    match &frame["error"] {
        Value::Null => Ok(frame["ok"].clone()),
        error => Err(failure(error)),
    }
}

fn receipt(answer: &Value) -> Receipt {
    Receipt {
        queues: usize::try_from(number(answer, "queues")).unwrap(),
        duplicate: answer["duplicate"].as_bool().unwrap(),
    }
}

#[async_trait]
impl Bus for SocketBus {
    async fn publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        let (subject, envelope) = (subject.as_str(), packed(&envelope));
        let frame = json!({ "op": "publish", "subject": subject, "envelope": envelope });
        self.ask(frame).await.map(|it| receipt(&it))
    }

    async fn try_publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        let (subject, envelope) = (subject.as_str(), packed(&envelope));
        let frame = json!({ "op": "try", "subject": subject, "envelope": envelope });
        self.ask(frame).await.map(|it| receipt(&it))
    }

    async fn request(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
        timeout: Duration,
    ) -> Result<Arc<Envelope>, BusError> {
        let frame = json!({
            "op": "request",
            "subject": subject.as_str(),
            "envelope": packed(&envelope),
            "timeout_ms": u64::try_from(timeout.as_millis()).unwrap(),
        });
        self.ask(frame).await.map(|it| unpacked(&it))
    }

    async fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let frame = json!({
            "op": "subscribe",
            "pattern": pattern.as_str(),
            "group": options.group,
            "messages_max": options.messages_max,
            "deliveries_max": options.deliveries_max,
        });
        let queue = number(&self.ask(frame).await?, "queue");
        Ok(Box::new(Reader {
            bus: self.clone(),
            queue,
            asked: None,
        }))
    }
}

struct Reader {
    bus: SocketBus,
    queue: u64,
    /// The question for the next delivery, which outlives whoever stops waiting for it.
    asked: Option<oneshot::Receiver<Value>>,
}

#[async_trait]
impl Subscription for Reader {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        if self.asked.is_none() {
            let frame = json!({ "op": "next", "queue": self.queue });
            self.asked = Some(self.bus.begin(frame).await?);
        }
        let answer = self.asked.as_mut().unwrap().await;
        self.asked = None;
        let told = answered(answer)?;
        let settle = Taken {
            bus: Some(self.bus.clone()),
            delivery: number(&told, "delivery"),
            wants_answer: told["wants_answer"].as_bool().unwrap(),
        };
        Ok(Delivery::new(
            Subject::parse(&text(&told, "subject")).unwrap(),
            unpacked(&told),
            u32::try_from(number(&told, "attempt")).unwrap(),
            Box::new(settle),
        ))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (bus, queue) = (self.bus.clone(), self.queue);
        tokio::spawn(async move { bus.ask(json!({ "op": "close", "queue": queue })).await });
    }
}

struct Taken {
    bus: Option<SocketBus>,
    delivery: u64,
    wants_answer: bool,
}

impl Taken {
    async fn settle(&mut self, mut frame: Value) -> Result<(), BusError> {
        let bus = self.bus.take().unwrap();
        frame["delivery"] = json!(self.delivery);
        bus.ask(frame).await.map(drop)
    }
}

#[async_trait]
impl Settle for Taken {
    fn wants_answer(&self) -> bool {
        self.wants_answer
    }

    async fn ack(mut self: Box<Self>) -> Result<(), BusError> {
        self.settle(json!({ "op": "ack" })).await
    }

    async fn progress(&self) -> Result<(), BusError> {
        Ok(())
    }

    async fn answer(mut self: Box<Self>, answer: Arc<Envelope>) -> Result<(), BusError> {
        self.settle(json!({ "op": "answer", "envelope": packed(&answer) }))
            .await
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.take() {
            let frame = json!({ "op": "drop", "delivery": self.delivery });
            tokio::spawn(async move { bus.ask(frame).await });
        }
    }
}
