//! The one sender for capabilities that send requests and are not this one: an MCP server's stream has to be
//! read while it comes, which neither of the guest's interfaces to HTTP is for.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_engine::CallScope;
use flowhost_ledger::records::NetDecision;
use flowhost_policy::egress::{Target, decide_http};
use futures::stream;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout_at;

use super::{
    body::AnyBody,
    error::SendError,
    headers,
    inject::Injected,
    sender::{LoginRefusal, Outgoing, Sender, changes},
};
use crate::shared::outward::{Answer, Ask, Echoes, Outward, Pieces};
use crate::shared::support::Refusal;

#[async_trait]
impl Outward for Sender {
    fn may(&self, scope: &CallScope, method: &'static str, url: &str) -> bool {
        let target = Target::parse(url, method);
        target.is_ok_and(|target| decide_http(&scope.effective.grants.http, &target).is_ok())
    }

    async fn send(
        &self,
        scope: &CallScope,
        interface: &'static str,
        ask: Ask<'_>,
    ) -> Result<Answer, Refusal> {
        let target = match Target::parse(ask.url, ask.method) {
            Ok(target) => target,
            Err(denied) => {
                scope.record_deny::<NetDecision>(interface, &denied)?;
                return Err(refusal(SendError::Denied(denied)));
            }
        };
        let headers = headers::from_pairs(ask.headers).map_err(refusal)?;
        // Shared, because the request may be sent twice.
        let body = Bytes::from(ask.body);
        // Once more at most: the first answer may have been of a token that had just run out.
        let mut again = false;
        let (injected, response) = loop {
            let body: AnyBody = Full::new(body.clone())
                .map_err(SendError::from)
                .boxed_unsync();
            let mut outgoing = Outgoing::new(target.clone(), headers.clone(), body, ask.deadline);
            outgoing.lasting = ask.lasting;
            // A tool may work for as long as its call may take before its answer begins.
            outgoing.first_byte = Duration::MAX;
            let opened = self.open(scope, interface, outgoing).await;
            let (injected, response) = opened.map_err(|error| lost(ask.method, error))?;
            let by = ask.deadline.min(scope.deadline);
            let refused = timeout_at(
                by,
                self.refused(LoginRefusal::of(injected.as_ref(), &response)),
            )
            .await
            .unwrap_or(Err(SendError::Timeout("deadline")));
            match refused.map_err(refusal)? {
                false => break (injected, response),
                true if !again => again = true,
                // A third token would be refused as the second was.
                true => return Err(refusal(twice(injected.as_ref()))),
            }
        };
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: pieces(ask.method, body),
            echoes: injected.map(|injected| -> Box<dyn Echoes> {
                Box::new(Sent {
                    injected,
                    scope: scope.clone(),
                    interface,
                })
            }),
        })
    }
}

fn twice(injected: Option<&Injected>) -> SendError {
    let login = injected.and_then(Injected::login);
    let name = login.map_or("", |(name, _)| name);
    SendError::Login(format!(
        "the server takes neither the token of the login `{name}` nor the one that it was renewed to: log in again"
    ))
}

fn refusal(error: SendError) -> Refusal {
    error.into_refusal()
}

/// Why there is no answer, or no more of it, to a request that may have reached the server.
fn lost(method: &str, error: SendError) -> Refusal {
    match changes(method) && error.is_unanswered() {
        true => Refusal::Unanswered(error.to_string()),
        false => refusal(error),
    }
}

/// The data of a body; trailers say nothing that anybody here reads.
fn pieces(method: &'static str, body: AnyBody) -> Pieces {
    Box::pin(stream::unfold(
        Some(body),
        move |body: Option<AnyBody>| async move {
            let mut body = body?;
            loop {
                return match body.frame().await? {
                    Ok(frame) => match frame.into_data() {
                        Ok(data) => Some((Ok(data), Some(body))),
                        Err(_trailers) => continue,
                    },
                    Err(error) => Some((Err(lost(method, error)), None)),
                };
            }
        },
    ))
}

/// What was put into one request.
struct Sent {
    injected: Injected,
    scope: CallScope,
    interface: &'static str,
}

impl Echoes for Sent {
    fn hits(&self, text: &[u8]) -> usize {
        self.injected.clean_body(text).1
    }

    fn clean(&self, text: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (clean, hits) = self.injected.clean_body(text);
        self.injected
            .record(&self.scope, self.interface, "body", hits)
            .map_err(refusal)?;
        Ok(clean)
    }
}
