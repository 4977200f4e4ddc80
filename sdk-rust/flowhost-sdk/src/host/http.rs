//! HTTP requests through the host. The profile names every place:
//!
//! ```toml
//! [[http]]
//! url = "https://api.example.org/v1/"
//! methods = ["GET"]
//! inject = { header = "authorization", value = "Bearer ${secret:TOKEN}" }   # the plugin never holds it
//! ```
//!
//! and the manifest `http = "granted"` in `[needs]`. Redirects come back as they are.
//!
//! ```
//! use flowhost_sdk::http;
//! use flowhost_sdk::testing::Fakes;
//!
//! let fakes = Fakes::new().respond("GET", "https://api.example.org/v1/n", 200, r#"{"n":7}"#);
//! fakes.run(|| {
//!     let answer = http::get("https://api.example.org/v1/n").unwrap();
//!     assert_eq!(answer.json::<serde_json::Value>().unwrap()["n"], 7);
//! });
//! ```

use serde::de::DeserializeOwned;

use crate::Error;
use crate::bindings::flowhost::http::http as import;
use crate::host::host_call;
use crate::json::parse_named;

pub use import::{Header, Request, Response};

/// Sends a request.
///
/// # Errors
/// Denied (rule or address), limit, invalid (URL, method, header), transient (connect, timeout), failed
/// (TLS, protocol).
pub fn send(request: &Request) -> Result<Response, Error> {
    host_call!(import::send(request), |fakes| fakes.send(request))
}

/// Sends a `GET` without headers of its own.
///
/// # Errors
/// As [`send`].
pub fn get(url: impl Into<String>) -> Result<Response, Error> {
    send(&Request::get(url))
}

impl Request {
    /// A request without headers and body that may take as long as the call.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 0.0,
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` of a JSON document.
    ///
    /// # Errors
    /// [`Error::Failed`] when the value has no JSON form.
    pub fn post_json(url: impl Into<String>, value: &impl serde::Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Error::failed(format_args!("the body has no JSON form: {error}")))?;
        let mut request = Self::new("POST", url).header("content-type", "application/json");
        request.body = body;
        Ok(request)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }
}

impl Response {
    /// The first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    /// The answer, if the server says that all is well; else the error that the host retries as the plan
    /// says: transient for 408, 429 and 5xx, conflict for 409, failed for the rest.
    ///
    /// # Errors
    /// When the status is not from 200 to 299.
    pub fn success(self) -> Result<Self, Error> {
        let message = format_args!("the server answered {}", self.status).to_string();
        match self.status {
            200..=299 => Ok(self),
            408 | 429 | 500..=599 => Err(Error::Transient(message)),
            409 => Err(Error::Conflict(message)),
            _ => Err(Error::Failed(message)),
        }
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::Failed`] when it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|_| Error::failed("the answer is not UTF-8 text"))
    }

    /// The body as a type of yours.
    ///
    /// # Errors
    /// [`Error::Failed`] when it is not JSON of that form: it is the server's fault, not the caller's.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        parse_named("the answer", self.text()?).map_err(|error| match error {
            Error::Invalid(what) => Error::Failed(what),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: i32) -> Result<Response, Error> {
        let response = Response {
            status,
            headers: Vec::new(),
            body: b"nothing".to_vec(),
        };
        response.success()
    }

    #[test]
    fn a_status_becomes_the_error_that_the_host_acts_on() {
        assert!(matches!(answered(404), Err(Error::Failed(_))));
        assert!(matches!(answered(409), Err(Error::Conflict(_))));
        for status in [408, 429, 500, 503] {
            assert!(
                matches!(answered(status), Err(Error::Transient(_))),
                "{status}"
            );
        }
        assert!(answered(204).is_ok());
    }

    #[test]
    fn a_body_that_does_not_fit_is_the_servers_fault() {
        let answer = answered(200).unwrap();
        assert!(matches!(answer.json::<u8>(), Err(Error::Failed(_))));
    }
}
