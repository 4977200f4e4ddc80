//! A login's token: to its server, in one header, once more after it was renewed, and never to a guest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use flowhost_policy::Inject;
use http::{HeaderValue, StatusCode};

use super::*;
use crate::http::{LoginError, LoginStore};
use crate::shared::outward::{Ask, Outward};

/// One login, whose token is `canary-N` after N renewals.
#[derive(Default)]
struct Kept {
    renewals: AtomicUsize,
    heard: Mutex<Vec<String>>,
}

#[async_trait]
impl LoginStore for Kept {
    async fn token(&self, name: &str, url: &str) -> Result<Zeroizing<String>, LoginError> {
        assert_eq!(name, "notes");
        if !url.starts_with("http://api.example.com:80/") {
            return Err(LoginError::Absent("its token goes nowhere else".to_owned()));
        }
        let renewals = self.renewals.load(Ordering::Relaxed);
        Ok(Zeroizing::new(format!("canary-{renewals}")))
    }

    async fn refused(
        &self,
        _name: &str,
        token: &str,
        status: u16,
        challenges: &[String],
    ) -> Result<bool, LoginError> {
        let said = format!("{token} {status} {}", challenges.join(", "));
        self.heard.lock().unwrap().push(said);
        if status == 403 {
            return Err(LoginError::Refused("log in again".to_owned()));
        }
        self.renewals.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}

fn bench(rules: Vec<HttpRule>, connector: RecordingConnector) -> (Bench, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let logins = kept.clone();
    let resolver = public().answer("other.example.com", &[PUBLIC]);
    let bench = Bench::with(rules, resolver, connector, |services| {
        services.logins = logins
    });
    (bench, kept)
}

fn logged_in(url: &str) -> HttpRule {
    HttpRule {
        inject: Some(Inject::Login("notes".to_owned())),
        ..rule(url)
    }
}

/// Takes this token, answers any other with this status, and says back what it was shown.
fn taking(token: &'static str, status: u16) -> RecordingConnector {
    serving(move |request| async move {
        let shown = request.headers().get_all("authorization").iter();
        let shown: Vec<&str> = shown.filter_map(|it| it.to_str().ok()).collect();
        let shown = shown.join(" and ");
        let is_taken = shown == format!("Bearer {token}");
        let mut answer = text(shown);
        if !is_taken {
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            answer.headers_mut().insert("www-authenticate", challenge);
        }
        answer
    })
}

async fn asked(bench: &Bench) -> Result<(u16, String), types::Error> {
    let ask = Ask {
        method: "POST",
        url: PLAIN,
        headers: vec![("accept", "text/plain")],
        body: b"frame".to_vec(),
        deadline: bench.scope.deadline,
        lasting: false,
    };
    let sent = Outward::send(&*bench.sender, &bench.scope, "test:test/test", ask).await;
    let mut answer = match sent {
        Ok(answer) => answer,
        Err(crate::shared::support::Refusal::Guest(error)) => return Err(error),
        Err(crate::shared::support::Refusal::Unanswered(why)) => panic!("{why}"),
        Err(crate::shared::support::Refusal::Fault(fault)) => panic!("{fault:?}"),
    };
    let mut body = Vec::new();
    while let Some(piece) = futures::StreamExt::next(&mut answer.body).await {
        let Ok(piece) = piece else {
            panic!("the body broke off")
        };
        body.extend_from_slice(&piece);
    }
    let echoes = answer.echoes.expect("a token was put in");
    let Ok(body) = echoes.clean(&body) else {
        panic!("the body cannot be cleaned")
    };
    Ok((answer.status, String::from_utf8(body).unwrap()))
}

#[tokio::test]
async fn mcp_017_a_token_goes_where_its_login_says_whatever_the_rules_name() {
    let other = "http://other.example.com/";
    let (bench, _) = bench(
        vec![logged_in(PLAIN), logged_in(other)],
        taking("canary-0", 401),
    );
    // A header of the guest's own is no second one.
    let own = wit::Request {
        headers: vec![header("authorization", "Bearer mine")],
        ..request("GET", PLAIN)
    };
    let answer = bench.send(own).await.unwrap();
    assert_eq!(answer.status, 200);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(!body.contains("canary") && !body.contains("mine"), "{body}");
    let dialled = bench.connector.dialled().len();
    let sent = host::send(&bench.sender, &bench.scope, request("GET", other)).await;
    let refused = sent.map(drop).unwrap_err().into_guest().unwrap_err();
    assert!(
        refused.to_string().contains("goes nowhere else"),
        "{refused}"
    );
    assert_eq!(bench.connector.dialled().len(), dialled);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_and_the_request_sent_once_more() {
    let (bench, kept) = bench(vec![logged_in(PLAIN)], taking("canary-1", 401));
    let (status, body) = asked(&bench).await.unwrap();
    assert_eq!(status, 200);
    assert!(
        body.starts_with("Bearer ") && !body.contains("canary"),
        "{body}"
    );
    assert_eq!(
        *kept.heard.lock().unwrap(),
        ["canary-0 401 Bearer error=\"invalid_token\""]
    );
    assert_eq!(bench.connector.dialled().len(), 2);
}

/// Whoever is never taken, by this status, is sent so often, and the guest hears what a person has to do.
async fn is_refused(status: u16, sent: usize) {
    let (bench, _) = bench(vec![logged_in(PLAIN)], taking("another", status));
    let refused = asked(&bench).await.unwrap_err();
    assert!(
        format!("{refused:?}").contains("log in again"),
        "{refused:?}"
    );
    assert_eq!(bench.connector.dialled().len(), sent);
}

#[tokio::test]
async fn a_server_that_takes_no_token_is_asked_twice_and_not_for_ever() {
    is_refused(401, 2).await;
}

#[tokio::test]
async fn what_a_person_has_to_allow_is_told_and_not_tried_again() {
    is_refused(403, 1).await;
}

#[tokio::test]
async fn who_speaks_http_reads_the_refusal_and_has_another_token_next_time() {
    let (bench, kept) = bench(vec![logged_in(PLAIN)], taking("canary-1", 401));
    assert_eq!(bench.get(PLAIN).await.unwrap().status, 401);
    assert_eq!(kept.heard.lock().unwrap().len(), 1);
    assert_eq!(bench.get(PLAIN).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_record_names_the_login_and_not_the_token() {
    let (bench, _) = bench(vec![logged_in(PLAIN)], taking("canary-0", 401));
    bench.get(PLAIN).await.unwrap();
    let facts = crate::testing::decided(&bench.recorder);
    let uses: Vec<String> = facts
        .iter()
        .filter(|fact| field(fact, "use") == "inject")
        .map(|fact| field(fact, "secret"))
        .collect();
    assert_eq!(uses, ["login:notes"]);
    assert!(!format!("{facts:?}").contains("canary"));
}
