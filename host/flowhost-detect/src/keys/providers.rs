//! The keys that are known by a prefix, as their providers publish it. A new one is a row here and a
//! line in `tests/corpus/positive.tsv`.
//!
//! Lengths are lower bounds a little below what is issued today, because providers lengthen their keys
//! without a word; where a prefix is short or a word of prose, the row asks for more than letters.

use std::ops::Range;

use super::{
    Hit, alphanumeric, base32, base64, capital, dotted, has_digit, hex, hyphenated, is_mixed,
    small_hex, url_safe,
};
use crate::text::{Text, is_word};

/// One kind of key.
struct Token {
    label: &'static str,
    /// The key starts with one of these.
    prefixes: &'static [&'static str],
    /// What follows, of which alphabet, and how many at least.
    class: fn(u8) -> bool,
    least: usize,
    /// Whether there are never more.
    exact: bool,
    /// What else the head must be.
    accept: fn(&Text, Range<usize>) -> bool,
}

const fn key(
    label: &'static str,
    prefixes: &'static [&'static str],
    class: fn(u8) -> bool,
    least: usize,
) -> Token {
    Token {
        label,
        prefixes,
        class,
        least,
        exact: false,
        accept: |_, _| true,
    }
}

impl Token {
    const fn exactly(self) -> Self {
        Self {
            exact: true,
            ..self
        }
    }

    const fn when(self, accept: fn(&Text, Range<usize>) -> bool) -> Self {
        Self { accept, ..self }
    }

    /// The end of such a key that starts there.
    fn end(&self, text: &Text, at: usize) -> Option<usize> {
        let mut prefixes = self.prefixes.iter();
        let start = prefixes.find_map(|prefix| text.word(at, prefix))?;
        let head = text.run(start, self.class, self.least);
        if head - start < self.least || !(self.accept)(text, start..head) {
            return None;
        }
        if self.exact {
            return (!text.is(head, alphanumeric)).then_some(head);
        }
        // A point ends the sentence and not the key; a few marks at most, so that none is read twice.
        let end = text.rest(head, self.class);
        let end = text.run_back(end, |byte| matches!(byte, b'.' | b'?' | b'&'), 4);
        Some(end.max(head))
    }
}

fn path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'/'
}

/// A path whose parts may hold hyphens, dots and at signs, and percent-encoded bytes.
fn long_path(byte: u8) -> bool {
    url_safe(byte) || matches!(byte, b'/' | b'.' | b'@' | b'%')
}

/// The letters of a URL's query.
fn query(byte: u8) -> bool {
    url_safe(byte) || matches!(byte, b'=' | b'&' | b'%' | b'.' | b'?' | b'/')
}

/// What a cookie's value is made of: base64, percent-encoded or not.
fn cookie(byte: u8) -> bool {
    base64(byte) || matches!(byte, b'%' | b'-' | b'_')
}

/// Every key with a prefix; where two end alike the earlier one names it.
const TOKENS: &[Token] = &[
    // Clouds
    key(
        "aws-access-key",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        base32,
        16,
    )
    .exactly(),
    key("aws-bedrock-key", &["ABSK"], base64, 100),
    key("alibaba-access-key", &["LTAI"], alphanumeric, 20).when(is_mixed),
    key("tencent-secret-id", &["AKID"], alphanumeric, 32).when(is_mixed),
    key("yandex-key", &["AQVN", "y0_Ag", "t1.9eu"], dotted, 35),
    key("google-api-key", &["AIza"], url_safe, 35),
    key("google-api-key", &["AQ.Ab"], url_safe, 30),
    key("google-oauth-secret", &["GOCSPX-"], url_safe, 28),
    key("google-oauth-token", &["ya29."], url_safe, 24),
    key("google-hmac-key", &["GOOG1E"], capital, 55).exactly(),
    key(
        "digitalocean-token",
        &["doo_v1_", "dop_v1_", "dor_v1_", "dot_v1_"],
        hex,
        64,
    )
    .exactly(),
    key("heroku-key", &["HRKU-"], url_safe, 36).when(has_digit),
    key("fly-token", &["fm1_", "fm1a_", "fm1r_", "fm2_"], base64, 60),
    key("fly-token", &["fo1_"], url_safe, 40),
    key(
        "vercel-token",
        &["vca_", "vci_", "vck_", "vcp_", "vcr_"],
        alphanumeric,
        24,
    )
    .when(is_mixed),
    key(
        "netlify-token",
        &["nfp_", "nfc_", "nfo_", "nfu_"],
        alphanumeric,
        36,
    ),
    key(
        "cloudflare-token",
        &["cfut_", "cfat_", "cfk_"],
        alphanumeric,
        40,
    ),
    key("cloudflare-origin-key", &["v1.0-"], hyphenated, 100).when(has_digit),
    key("render-key", &["rnd_"], alphanumeric, 28).when(is_mixed),
    key("scalingo-token", &["tk-us-"], url_safe, 48),
    key("scaleway-key", &["SCW"], capital, 17)
        .exactly()
        .when(has_digit),
    key("databricks-token", &["dapi"], small_hex, 32),
    key("openshift-token", &["sha256~"], url_safe, 43),
    // Code and packages
    key(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        alphanumeric,
        36,
    ),
    key("github-token", &["github_pat_"], is_word, 22),
    key(
        "gitlab-token",
        &[
            "glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-",
            "glagent-", "gloas-", "glffct-",
        ],
        dotted,
        20,
    ),
    key("gitlab-token", &["GR1348941"], url_safe, 20),
    key("bitbucket-token", &["ATBB", "ATCTT3"], dotted, 32).when(is_mixed),
    key("atlassian-token", &["ATATT3", "ATSTT3"], cookie, 40),
    key("npm-token", &["npm_"], alphanumeric, 36).exactly(),
    key("pypi-token", &["pypi-"], url_safe, 50),
    key("rubygems-key", &["rubygems_"], small_hex, 48),
    key("crates-io-token", &["cio"], alphanumeric, 32)
        .exactly()
        .when(is_mixed),
    key("nuget-key", &["oy2"], alphanumeric, 43)
        .exactly()
        .when(has_digit),
    key("docker-token", &["dckr_pat_", "dckr_oat_"], url_safe, 27),
    key("artifactory-token", &["AKCp", "cmVmdGtu"], alphanumeric, 56),
    key("sourcegraph-token", &["sgp_"], is_word, 40).when(has_digit),
    key("buildkite-token", &["bkua_"], small_hex, 40),
    key("circleci-token", &["CCIPAT_", "CCIPRJ_"], is_word, 40),
    key("sonar-token", &["sqa_", "sqp_", "squ_"], small_hex, 40),
    key("snyk-token", &["snyk_uat."], dotted, 30),
    key("pulumi-token", &["pul-"], small_hex, 40),
    key("clojars-token", &["CLOJARS_"], alphanumeric, 60),
    key("prefect-key", &["pnu_", "pnb_"], alphanumeric, 36).when(is_mixed),
    key("octopus-key", &["API-"], capital, 26)
        .exactly()
        .when(has_digit),
    key(
        "trigger-key",
        &["tr_dev_", "tr_stg_", "tr_prod_", "tr_pat_"],
        alphanumeric,
        20,
    )
    .when(is_mixed),
    key(
        "inngest-key",
        &["signkey-prod-", "signkey-test-", "signkey-branch-"],
        small_hex,
        32,
    ),
    // Models
    key("anthropic-key", &["sk-ant-"], url_safe, 24),
    key("openrouter-key", &["sk-or-"], url_safe, 32),
    key("langfuse-key", &["sk-lf-"], url_safe, 36).when(has_digit),
    key("openai-key", &["sk-"], url_safe, 32).when(is_mixed),
    key("groq-key", &["gsk_"], alphanumeric, 32),
    key("xai-key", &["xai-"], alphanumeric, 40),
    key("perplexity-key", &["pplx-"], alphanumeric, 32),
    key("replicate-token", &["r8_"], alphanumeric, 32),
    key("huggingface-token", &["hf_", "api_org_"], alphanumeric, 30),
    key("nvidia-key", &["nvapi-"], url_safe, 40),
    key("cerebras-key", &["csk-"], alphanumeric, 40),
    key("elevenlabs-key", &["sk_"], small_hex, 48),
    key("langsmith-key", &["lsv2_pt_", "lsv2_sk_"], is_word, 40),
    key("tavily-key", &["tvly-"], hyphenated, 28).when(has_digit),
    key("jina-key", &["jina_"], url_safe, 50),
    key("pinecone-key", &["pcsk_"], is_word, 50),
    key("voyage-key", &["pa-"], url_safe, 40).when(is_mixed),
    key("firecrawl-key", &["fc-"], small_hex, 32).exactly(),
    key("e2b-key", &["e2b_"], small_hex, 40),
    key("browserbase-key", &["bb_live_"], url_safe, 24),
    key("fireworks-key", &["fw_"], alphanumeric, 22).when(is_mixed),
    key("together-key", &["tgp_v1_"], url_safe, 40),
    key("wandb-key", &["wandb_v1_"], is_word, 40),
    key("runpod-key", &["rpa_"], alphanumeric, 40).when(has_digit),
    key("anyscale-key", &["esecret_"], alphanumeric, 24),
    key("apify-token", &["apify_api_"], alphanumeric, 36),
    key(
        "settlemint-token",
        &["sm_aat_", "sm_pat_", "sm_sat_"],
        alphanumeric,
        16,
    )
    .when(is_mixed),
    // Vaults
    key("vault-token", &["hvs.", "hvb.", "hvr."], url_safe, 24).when(is_mixed),
    key(
        "doppler-token",
        &[
            "dp.pt.",
            "dp.st.",
            "dp.ct.",
            "dp.sa.",
            "dp.scim.",
            "dp.audit.",
            "dp.said.",
        ],
        dotted,
        40,
    ),
    key(
        "age-key",
        &["AGE-SECRET-KEY-"],
        |byte| capital(byte) || byte == b'-',
        50,
    ),
    key("onepassword-token", &["ops_eyJ"], base64, 100),
    // How checkpoints of transparency logs are signed, those of this host's ledger among them.
    key(
        "note-signing-key",
        &["PRIVATE+KEY+"],
        |byte| base64(byte) || matches!(byte, b'.' | b'-' | b'_'),
        50,
    ),
    key("unkey-key", &["unkey_"], alphanumeric, 20).when(is_mixed),
    key("defined-key", &["dnkey-"], url_safe, 60),
    key("infisical-token", &["st."], dotted, 60).when(is_mixed),
    key("tailscale-key", &["tskey-"], hyphenated, 24).when(has_digit),
    // Work and operations
    key("linear-key", &["lin_api_", "lin_oauth_"], alphanumeric, 32),
    key("notion-token", &["ntn_"], alphanumeric, 40),
    key("notion-token", &["secret_"], alphanumeric, 43)
        .exactly()
        .when(is_mixed),
    key("figma-token", &["figd_", "figo_", "figr_"], url_safe, 36),
    key("postman-key", &["PMAK-"], hyphenated, 50),
    key("airtable-token", &["pat"], dotted, 79).when(has_shape_of_airtable),
    key("contentful-token", &["CFPAT-"], url_safe, 43),
    key("typeform-token", &["tfp_"], url_safe, 40),
    key("readme-key", &["rdme_"], alphanumeric, 60),
    key("grafana-token", &["glsa_"], is_word, 40),
    key("grafana-token", &["glc_"], base64, 32),
    key("grafana-token", &["eyJrIjoi"], base64, 60),
    key("sentry-token", &["sntrys_"], cookie, 40),
    key("sentry-token", &["sntryu_"], small_hex, 64),
    key(
        "newrelic-key",
        &["NRAK-", "NRBR-", "NRII-", "NRIQ-", "NRRA-", "NRSP-"],
        url_safe,
        24,
    ),
    key(
        "honeycomb-key",
        &["hcaik_", "hcxik_", "hcxmk_"],
        alphanumeric,
        40,
    ),
    key(
        "dynatrace-token",
        &["dt0c01.", "dt0s01.", "dt0s02.", "dt0s16."],
        dotted,
        60,
    ),
    key("posthog-key", &["phx_"], alphanumeric, 40),
    key("adafruit-key", &["aio_"], alphanumeric, 28)
        .exactly()
        .when(is_mixed),
    key("adobe-secret", &["p8e-"], url_safe, 32).when(is_mixed),
    key("lob-key", &["live_", "test_"], small_hex, 35).exactly(),
    key("intra-secret", &["s-s4t2ud-", "s-s4t2af-"], small_hex, 64),
    key("launchdarkly-key", &["sdk-"], hyphenated, 36)
        .exactly()
        .when(is_uuid),
    key(
        "hubspot-token",
        &["pat-na", "pat-eu", "pat-ap"],
        hyphenated,
        36,
    )
    .when(has_digit),
    key(
        "supabase-key",
        &["sbp_", "sbp_v0_", "sbp_oauth_"],
        small_hex,
        40,
    ),
    key("supabase-key", &["sb_secret_"], url_safe, 24),
    key(
        "planetscale-token",
        &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"],
        dotted,
        32,
    ),
    key("neon-key", &["napi_"], alphanumeric, 48),
    key("mapbox-token", &["sk.eyJ", "tk.eyJ"], dotted, 60),
    key("dropbox-token", &["sl."], dotted, 100).when(is_mixed),
    key("frameio-token", &["fio-u-"], url_safe, 60),
    key("onfido-key", &["api_live.", "api_sandbox."], dotted, 32),
    key("facebook-token", &["EAA"], alphanumeric, 80),
    // Money and shops
    key(
        "stripe-key",
        &["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
        alphanumeric,
        16,
    ),
    key("stripe-webhook-secret", &["whsec_"], base64, 24),
    key("square-token", &["EAAAE", "EAAAl"], url_safe, 55),
    key("square-token", &["sq0atp-", "sq0csp-"], url_safe, 22),
    key(
        "shopify-token",
        &["shpat_", "shpca_", "shppa_", "shpss_", "shpua_"],
        hex,
        32,
    )
    .exactly(),
    key(
        "plaid-token",
        &[
            "access-sandbox-",
            "access-production-",
            "access-development-",
        ],
        hyphenated,
        36,
    )
    .when(is_uuid),
    key(
        "paypal-token",
        &["access_token$production$", "access_token$sandbox$"],
        |byte| alphanumeric(byte) || byte == b'$',
        40,
    ),
    key("easypost-key", &["EZAK", "EZTK"], alphanumeric, 54),
    key(
        "duffel-token",
        &["duffel_test_", "duffel_live_"],
        url_safe,
        40,
    ),
    key(
        "flutterwave-key",
        &["FLWSECK_TEST-", "FLWSECK-"],
        hyphenated,
        24,
    )
    .when(has_digit),
    key(
        "razorpay-key",
        &["rzp_live_", "rzp_test_"],
        alphanumeric,
        14,
    )
    .exactly(),
    key(
        "shippo-token",
        &["shippo_live_", "shippo_test_"],
        small_hex,
        40,
    ),
    // Mail and messages
    key("mailgun-key", &["key-"], small_hex, 32).exactly(),
    key("brevo-key", &["xkeysib-", "xsmtpsib-"], hyphenated, 60),
    key("twilio-key", &["SK"], small_hex, 32).exactly(),
    key(
        "slack-token",
        &[
            "xoxa-", "xoxb-", "xoxc-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-",
        ],
        hyphenated,
        10,
    ),
    key("slack-token", &["xoxd-"], cookie, 24),
    key("slack-token", &["xapp-"], hyphenated, 20).when(has_digit),
    key(
        "slack-webhook",
        &[
            "hooks.slack.com/services/",
            "hooks.slack.com/workflows/",
            "hooks.slack.com/triggers/",
        ],
        path,
        20,
    ),
    key(
        "slack-webhook",
        &["hooks.slack-gov.com/services/"],
        path,
        20,
    ),
    key(
        "discord-webhook",
        &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
        long_path,
        40,
    )
    .when(has_digit),
    key(
        "discord-webhook",
        &["discord.com/api/v10/webhooks/"],
        long_path,
        40,
    )
    .when(has_digit),
    key(
        "teams-webhook",
        &["webhook.office.com/", "outlook.office.com/webhook"],
        long_path,
        40,
    )
    .when(has_digit),
    key(
        "google-chat-webhook",
        &["chat.googleapis.com/v1/spaces/"],
        query,
        40,
    )
    .when(has_key_and_token),
    key(
        "feishu-webhook",
        &[
            "open.feishu.cn/open-apis/bot/",
            "open.larksuite.com/open-apis/bot/",
        ],
        long_path,
        30,
    )
    .when(has_digit),
    key(
        "dingtalk-webhook",
        &["oapi.dingtalk.com/robot/send?access_token="],
        alphanumeric,
        40,
    ),
    key(
        "wecom-webhook",
        &["qyapi.weixin.qq.com/cgi-bin/webhook/send?key="],
        hyphenated,
        30,
    ),
    key(
        "zapier-webhook",
        &["hooks.zapier.com/hooks/catch/"],
        path,
        10,
    )
    .when(has_digit),
    key(
        "ifttt-webhook",
        &["maker.ifttt.com/trigger/"],
        long_path,
        40,
    ),
    key(
        "make-webhook",
        &[
            "hook.eu1.make.com/",
            "hook.eu2.make.com/",
            "hook.us1.make.com/",
            "hook.us2.make.com/",
            "hook.integromat.com/",
        ],
        alphanumeric,
        28,
    ),
];

/// `patXXXXXXXXXXXXXX.` and sixty-four hexadecimal digits.
fn has_shape_of_airtable(text: &Text, head: Range<usize>) -> bool {
    let id = text.run(head.start, alphanumeric, 14);
    let Some(secret) = text.word(id, ".").filter(|_| id - head.start == 14) else {
        return false;
    };
    text.run(secret, small_hex, 64) == head.end
}

/// Groups of 8, 4, 4, 4 and 12 hexadecimal digits (RFC 9562).
fn is_uuid(text: &Text, head: Range<usize>) -> bool {
    let mut at = head.start;
    for (place, group) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if place > 0 {
            let Some(next) = text.word(at, "-") else {
                return false;
            };
            at = next;
        }
        let end = text.run(at, hex, group);
        if end - at != group {
            return false;
        }
        at = end;
    }
    at == head.end
}

/// A space of Google Chat is public; what lets one write to it is in the query.
fn has_key_and_token(text: &Text, head: Range<usize>) -> bool {
    head.clone().any(|at| text.word(at, "key=").is_some())
}

/// A bit for each row of [`TOKENS`].
type Rows = [u128; 2];

/// How many bytes of a prefix the table below knows: the shortest prefixes have two.
const KNOWN: usize = 3;

/// Which rows of [`TOKENS`] have a prefix with a byte in its first, second and third place; a prefix that is
/// shorter has any byte there. What all three leave of the rows is hardly ever more than one, so that a word of
/// a text costs three look-ups and not a comparison with each of the prefixes that begin like it.
static BY_BYTE: [[Rows; 256]; KNOWN] = by_byte();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, where iterators are not to be had"
)]
const fn by_byte() -> [[Rows; 256]; KNOWN] {
    assert!(TOKENS.len() <= 256, "a row is a bit of two u128");
    let mut rows = [[[0; 2]; 256]; KNOWN];
    let mut row = 0;
    while row < TOKENS.len() {
        let prefixes = TOKENS[row].prefixes;
        let mut at = 0;
        while at < prefixes.len() {
            let prefix = prefixes[at].as_bytes();
            let mut place = 0;
            while place < KNOWN {
                let (mut byte, last) = if place < prefix.len() {
                    (prefix[place] as usize, prefix[place] as usize)
                } else {
                    (0, 255)
                };
                while byte <= last {
                    rows[place][byte][row / 128] |= 1 << (row % 128);
                    byte += 1;
                }
                place += 1;
            }
            at += 1;
        }
        row += 1;
    }
    rows
}

/// The rows that have a prefix with these first bytes. Behind the end of a text stands a byte that no prefix
/// has: rows of shorter prefixes are left.
fn rows_at(text: &Text, at: usize, first: u8) -> Rows {
    let bytes = [
        first,
        text.at(at + 1).unwrap_or_default(),
        text.at(at + 2).unwrap_or_default(),
    ];
    let mut rows = [u128::MAX; 2];
    for (table, byte) in BY_BYTE.iter().zip(bytes) {
        for (rows, has) in rows
            .iter_mut()
            .zip(table.get(usize::from(byte)).into_iter().flatten())
        {
            *rows &= has;
        }
    }
    rows
}

/// The keys that start there by their prefix.
pub(super) fn keys_at(text: &Text, at: usize, first: u8) -> impl Iterator<Item = Hit> {
    let tokens = TOKENS.chunks(128).zip(rows_at(text, at, first));
    tokens.flat_map(move |(tokens, mut rows)| {
        std::iter::from_fn(move || {
            while rows != 0 {
                let row = usize::try_from(rows.trailing_zeros()).unwrap_or_default();
                rows &= rows - 1;
                let token = tokens.get(row)?;
                if let Some(end) = token.end(text, at) {
                    return Some((token.label, at..end));
                }
            }
            None
        })
    })
}

/// What a key of each row has at least: how many letters, and of what.
#[cfg(test)]
pub(super) fn bounds() -> impl Iterator<Item = super::Bounds> {
    TOKENS.iter().flat_map(|token| {
        token.prefixes.iter().map(move |prefix| {
            let takes = move |byte| (token.class)(byte) || prefix.as_bytes().contains(&byte);
            let takes: Box<dyn Fn(u8) -> bool> = Box::new(takes);
            (token.label, prefix.len() + token.least, takes)
        })
    })
}
