//! Where telemetry is sent, from the `OTEL_*` variables of the OpenTelemetry specification.
//!
//! Owns their reading. A value that cannot be used switches the export off and says why: telemetry
//! never fails a run. Headers hold credentials and are shown by nothing here.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use crate::ambient::Ambient;

/// Milliseconds that one export may take, unless the variable says otherwise.
/// The default of OpenTelemetry's specification.
const TIMEOUT_MS: u64 = 10_000;

/// Everything that an export needs to know.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, without a slash at its end; `/v1/traces` and `/v1/metrics` are
    /// added.
    pub endpoint: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub timeout: Duration,
    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, the name first.
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        formatter
            .debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("resource", &self.resource)
            .finish()
    }
}

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct OtlpConfigError {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong with it; never its value.
    pub problem: &'static str,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// The variables that are read; the book names each.
pub const VARIABLES: &[&str] = &[
    ENDPOINT,
    HEADERS,
    TIMEOUT,
    PROTOCOL,
    SERVICE_NAME,
    ATTRIBUTES,
    DISABLED,
    super::TRACEPARENT,
];

impl OtlpConfig {
    /// What the environment says; none when there is no endpoint, or the export is switched off.
    ///
    /// # Errors
    /// When a variable cannot be used.
    pub fn of(ambient: &Ambient) -> Result<Option<Self>, OtlpConfigError> {
        let off = ambient
            .var(DISABLED)
            // `true` in any case and nothing else, as the specification says: `1` means no.
            .is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let Some(endpoint) = ambient.var(ENDPOINT).filter(|_| !off) else {
            return Ok(None);
        };
        if ambient
            .var(PROTOCOL)
            .is_some_and(|it| it != "http/protobuf")
        {
            return Err(wrong(
                PROTOCOL,
                "must be http/protobuf: it is what this build speaks",
            ));
        }
        Ok(Some(Self {
            endpoint: endpoint_of(endpoint)?,
            headers: headers_of(ambient.var(HEADERS).unwrap_or_default())?,
            timeout: Duration::from_millis(timeout_of(ambient.var(TIMEOUT))?),
            resource: resource_of(ambient)?,
        }))
    }
}

fn wrong(variable: &'static str, problem: &'static str) -> OtlpConfigError {
    OtlpConfigError { variable, problem }
}

fn endpoint_of(text: &str) -> Result<String, OtlpConfigError> {
    let uri: Uri = text.parse().map_err(|_| wrong(ENDPOINT, "is not a URL"))?;
    let scheme = uri.scheme_str();
    if !matches!(scheme, Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong(
            ENDPOINT,
            "must begin with http:// or https:// and name a host",
        ));
    }
    // The signal's path is put behind it, so that a query would end up in the middle; a password in it would be shown
    // wherever the endpoint is.
    if uri.query().is_some() || uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(wrong(ENDPOINT, "must have no query and no password"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn headers_of(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, OtlpConfigError> {
    let bad = || {
        wrong(
            HEADERS,
            "is not a list of name=value with percent-encoded values",
        )
    };
    let pairs = pairs(text).ok_or_else(bad)?;
    let headers = pairs.into_iter().map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        let mut value = HeaderValue::try_from(value).ok()?;
        // Left out of what the library prints in its traces.
        value.set_sensitive(true);
        Some((name, value))
    });
    headers.collect::<Option<_>>().ok_or_else(bad)
}

fn timeout_of(text: Option<&str>) -> Result<u64, OtlpConfigError> {
    let Some(text) = text else {
        return Ok(TIMEOUT_MS);
    };
    // 0 would mean no time at all here, and no bound to somebody else.
    let number = text.parse().ok().filter(|ms| *ms > 0);
    number.ok_or_else(|| wrong(TIMEOUT, "is not a number of milliseconds"))
}

fn resource_of(ambient: &Ambient) -> Result<Vec<(String, String)>, OtlpConfigError> {
    let listed = pairs(ambient.var(ATTRIBUTES).unwrap_or_default());
    let listed = listed.ok_or_else(|| {
        wrong(
            ATTRIBUTES,
            "is not a list of name=value with percent-encoded values",
        )
    })?;
    let named = listed
        .iter()
        .find(|(name, _)| name == "service.name")
        .map(|(_, value)| value.as_str());
    // The variable goes before the list, as the specification says.
    let service = ambient.var(SERVICE_NAME).or(named).unwrap_or("flowhost");
    let rest = listed.iter().filter(|(name, _)| name != "service.name");
    let version = (
        "service.version".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    // Whoever deploys it may know a better version than the one of this build.
    let versioned = listed.iter().any(|(name, _)| name == "service.version");
    Ok([("service.name".to_owned(), service.to_owned())]
        .into_iter()
        .chain((!versioned).then_some(version))
        .chain(rest.cloned())
        .collect())
}

/// `name=value,…` with percent-encoded values, as W3C Baggage has it; none when it is not that.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let members = text
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty());
    let pairs = members.map(|member| {
        let (name, value) = member.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim());
        let value = value.decode_utf8().ok()?.into_owned();
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, OtlpConfigError> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let env: BTreeMap<_, _> = variables.iter().map(own).collect();
        OtlpConfig::of(&Ambient::with(env, PathBuf::from("/"), None))
    }

    #[test]
    fn refuses_what_it_cannot_use_without_repeating_it() {
        let good = (ENDPOINT, "http://127.0.0.1:4318");
        for wrong in [
            vec![(ENDPOINT, "secret.example:4318")],
            vec![(ENDPOINT, "ftp://secret.example")],
            vec![(ENDPOINT, "http://user:secret@collector.example")],
            vec![good, (HEADERS, "authorization")],
            vec![good, (HEADERS, "author ization=secret")],
            vec![good, (TIMEOUT, "10s")],
            vec![good, (TIMEOUT, "0")],
            vec![good, (ATTRIBUTES, "secret")],
            vec![good, (PROTOCOL, "grpc")],
        ] {
            let error = read(&wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn exports_nothing_without_an_endpoint_or_when_it_is_switched_off() {
        assert_eq!(read(&[(SERVICE_NAME, "x")]), Ok(None));
        let off = [(ENDPOINT, "http://127.0.0.1:4318"), (DISABLED, "TRUE")];
        assert_eq!(read(&off), Ok(None));
    }

    #[test]
    fn reads_what_the_specification_names() {
        let config = read(&[
            (ENDPOINT, "http://127.0.0.1:4318/base/"),
            (HEADERS, "authorization=Bearer%20key, x-scope=a"),
            (TIMEOUT, "250"),
            (
                ATTRIBUTES,
                "service.name=listed,deployment.environment.name=test%2Cdev",
            ),
            (SERVICE_NAME, "named"),
        ]);
        let config = config.unwrap().unwrap();
        assert_eq!(config.endpoint, "http://127.0.0.1:4318/base");
        assert_eq!(config.headers[0].1.to_str().unwrap(), "Bearer key");
        assert_eq!(config.timeout, Duration::from_millis(250));
        let resource: BTreeMap<_, _> = config.resource.iter().cloned().collect();
        assert_eq!(resource["service.name"], "named");
        assert_eq!(resource["deployment.environment.name"], "test,dev");
        assert!(!format!("{config:?}").contains("Bearer"));
    }
}
