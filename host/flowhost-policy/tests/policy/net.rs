//! NET: destination parsing and matching.

use flowhost_policy::{
    Denied, HttpRule,
    egress::{Target, decide_http},
};

fn rules(urls: &[&str]) -> Vec<HttpRule> {
    urls.iter()
        .map(|url| HttpRule::new(url, &["GET"]).expect("a rule of the test"))
        .collect()
}

/// `GET url` under rules, as the sender decides it: parse, then match.
fn get(urls: &[&str], url: &str) -> Result<usize, Denied> {
    let target = Target::parse(url, "GET")?;
    decide_http(&rules(urls), &target).map(|allowed| allowed.index)
}

/// The rule that says no.
fn no(urls: &[&str], url: &str) -> String {
    get(urls, url).expect_err(url).rule
}

const API: &[&str] = &["https://api.example.com"];

#[test]
fn net_001_denies_plain_http_to_an_https_rule() {
    assert_eq!(no(API, "http://api.example.com/"), "http#none");
}

#[test]
fn net_002_denies_another_port() {
    assert_eq!(no(API, "https://api.example.com:8443/"), "http#none");
}

#[test]
fn net_003_allows_the_schemes_own_port_written_out() {
    assert_eq!(get(API, "https://api.example.com:443/"), Ok(0));
}

#[test]
fn net_004_lowercases_a_host_and_shows_the_canonical_name() {
    let target = Target::parse("https://API.EXAMPLE.COM/x", "GET").unwrap();
    assert_eq!(target.to_string(), "GET https://api.example.com/x");
    assert_eq!(get(API, "https://API.EXAMPLE.COM/x"), Ok(0));
}

#[test]
fn net_005_denies_a_trailing_dot_whatever_the_rule() {
    assert_eq!(no(API, "https://api.example.com./"), "url.host");
    assert!(HttpRule::new("https://api.example.com./", &["GET"]).is_err());
}

#[test]
fn net_009_rejects_a_backslash() {
    assert_eq!(
        no(API, "https://api.example.com\\@evil.test/"),
        "url.backslash"
    );
    assert_eq!(no(API, "https:\\\\api.example.com/"), "url.backslash");
    assert_eq!(no(API, "https://api.example.com/a\\..\\b"), "url.backslash");
}

#[test]
fn net_010_rejects_an_escape_in_the_host() {
    assert_eq!(no(API, "https://api.example.com%2eevil.test/"), "url.host");
    assert_eq!(no(API, "https://api%2eexample%2ecom/"), "url.host");
}

#[test]
fn net_011_rejects_userinfo() {
    for url in [
        "https://api.example.com@evil.test/",
        "https://user:pass@api.example.com/",
        "https://@api.example.com/",
        "https://:@api.example.com/",
    ] {
        assert_eq!(no(API, url), "url.userinfo", "{url}");
    }
}

#[test]
fn net_011_never_shows_a_password_in_a_denial() {
    let denied = get(API, "https://user:hunter2@api.example.com/").unwrap_err();
    assert_eq!(denied.wanted, "GET …@api.example.com/");
}

#[test]
fn net_012_reads_a_host_before_a_fragment_or_query_as_that_host_only() {
    for url in [
        "https://api.example.com#@evil.test",
        "https://api.example.com?@evil.test",
    ] {
        let target = Target::parse(url, "GET").unwrap();
        assert_eq!(target.host(), "api.example.com", "{url}");
        assert_eq!(
            get(&["https://evil.test"], url).unwrap_err().rule,
            "http#none"
        );
    }
    let fragment = Target::parse("https://api.example.com#@evil.test", "GET").unwrap();
    assert_eq!(
        fragment.url(),
        "https://api.example.com:443/",
        "a fragment is never sent"
    );
}

#[test]
fn net_013_rejects_blanks_and_line_breaks() {
    for bad in [
        " ", "\t", "\r", "\n", "\r\n", "\0", "\u{b}", "\u{7f}", "\u{85}", "\u{a0}",
    ] {
        let url = format!("https://api.example.com{bad}evil.test/");
        assert!(get(API, &url).is_err(), "{url:?}");
    }
    for url in [
        " https://api.example.com/",
        "https://api.example.com/ ",
        "ht\ntps://api.example.com/",
    ] {
        assert_eq!(no(API, url), "url.invisible", "{url:?}");
    }
}

#[test]
fn net_014_rejects_list_separators_in_the_host() {
    for bad in [
        ",", ";", "|", "&", "=", "'", "\"", "<", ">", "^", "`", "{", "}", "!", "$", "(", ")", "+",
        "~",
    ] {
        let url = format!("https://api.example.com{bad}evil.test/");
        assert_eq!(no(API, &url), "url.host", "{url}");
    }
}

#[test]
fn net_015_rejects_a_literal_star_from_the_guest() {
    assert_eq!(
        no(&["https://*.example.com"], "https://*.example.com/"),
        "url.host"
    );
}

#[test]
fn net_016_denies_the_apex_of_a_wildcard() {
    assert_eq!(
        no(&["https://*.example.com"], "https://example.com/"),
        "http#none"
    );
}

#[test]
fn net_017_denies_a_suffix_without_its_dot() {
    assert_eq!(
        no(&["https://*.example.com"], "https://evilexample.com/"),
        "http#none"
    );
    assert_eq!(
        no(&["https://*.example.com"], "https://example.com.evil.test/"),
        "http#none"
    );
}

#[test]
fn net_018_allows_names_below_a_wildcard_at_any_depth() {
    assert_eq!(
        get(&["https://*.example.com"], "https://a.example.com/"),
        Ok(0)
    );
    assert_eq!(
        get(&["https://*.example.com"], "https://b.a.example.com/"),
        Ok(0)
    );
}

#[test]
fn net_019_denies_an_address_under_a_wildcard() {
    assert!(get(&["https://*.0.0.1.example.com"], "https://127.0.0.1/").is_err());
    assert!(HttpRule::new("https://*.0.0.1", &["GET"]).is_err());
}

#[test]
fn net_020_refuses_rules_that_name_everything_or_nothing() {
    for url in [
        "*",
        "*.com",
        "https://*",
        "https://*/",
        "https://*.com",
        "https://**.example.com",
        "https://a*b.com",
        "https://*a.example.com",
        "https://a.*.example.com",
        "https://*.*.example.com",
        "https://*.",
        "https://*.example.com.",
        "",
        "https://",
        "https:///",
        "https://:443/",
        "//api.example.com",
        "api.example.com",
        "ftp://api.example.com",
        "https://user@api.example.com/",
        "https://api.example.com:0/",
        "https://api.example.com:70000/",
        "https://api.example.com/?q=1",
        "https://api.example.com/#x",
        "https://api.example.com/*",
        "https://ex\u{430}mple.com/",
        "http://[10.0.0.1/8]/",
        "http://[10.0.0.0/33]/",
        "http://[10.0.0.0/08]/",
        "http://[::ffff:10.0.0.0/104]/",
        "https://[fe80::1%25lo]/",
    ] {
        assert!(HttpRule::new(url, &["GET"]).is_err(), "{url}");
    }
}

#[test]
fn net_021_refuses_rules_whose_path_changes_under_normalisation() {
    for path in [
        "/a/../b", "/..", "/./a", "/a%2fb", "/a%2Fb", "/%2e%2e/", "/a%5cb", "/a\\b", "/a b", "/%zz",
    ] {
        let url = format!("https://api.example.com{path}");
        assert!(HttpRule::new(&url, &["GET"]).is_err(), "{url}");
    }
}

#[test]
fn net_022_denies_paths_that_climb_out_of_their_prefix() {
    let v1 = &["https://api.example.com/v1/"];
    assert_eq!(get(v1, "https://api.example.com/v1/users"), Ok(0));
    for path in [
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/.%2e/admin",
        "/v1/%2E%2E/admin",
        "/v1/..%2fadmin",
        "/v1/..%5cadmin",
        "/v1;/..",
        "/v1/..;/admin",
        "/v1/..;x=1/admin",
        "/v1/..%3bx/admin",
        "/v1/%252e%252e/admin",
        "/v1/..%252fadmin",
        "/v1/.",
        "/v1/..",
        "/v1/%00",
    ] {
        assert_eq!(
            no(v1, &format!("https://api.example.com{path}")),
            "url.path",
            "{path}"
        );
    }
    assert_eq!(no(v1, "https://api.example.com//v1/"), "http#none");
}

#[test]
fn net_023_denies_a_longer_segment_than_the_prefixs_last() {
    let v1 = &["https://api.example.com/v1"];
    assert_eq!(no(v1, "https://api.example.com/v10"), "http#none");
    assert_eq!(no(v1, "https://api.example.com/v1;x"), "http#none");
    assert_eq!(get(v1, "https://api.example.com/v1"), Ok(0));
    assert_eq!(get(v1, "https://api.example.com/v1/"), Ok(0));
    assert_eq!(get(v1, "https://api.example.com/v1?q=/v2"), Ok(0));
}

#[test]
fn net_023_denies_the_folder_itself_when_the_prefix_ends_with_a_slash() {
    assert_eq!(
        no(
            &["https://api.example.com/v1/"],
            "https://api.example.com/v1"
        ),
        "http#none"
    );
}

#[test]
fn net_024_rejects_an_absolute_form_path() {
    let denied = Target::from_parts(Some("https"), "api.example.com", "http://evil.test/", "GET");
    assert_eq!(denied.unwrap_err().rule, "url.path");
    let joined = Target::from_parts(Some("https"), "api.example.com", "@evil.test/", "GET");
    assert_eq!(joined.unwrap_err().rule, "url.path");
    let dotted = Target::from_parts(Some("https"), "api.example.com", ".evil.test/", "GET");
    assert_eq!(dotted.unwrap_err().rule, "url.path");
}

#[test]
fn net_025_rejects_a_path_without_its_slash() {
    for path in ["*", "x", "?q"] {
        let denied = Target::from_parts(Some("https"), "api.example.com", path, "GET");
        assert_eq!(denied.unwrap_err().rule, "url.path", "{path}");
    }
    let whole = Target::from_parts(Some("https"), "api.example.com", "/x?q", "GET").unwrap();
    assert_eq!(whole.path_and_query(), "/x?q");
}

#[test]
fn net_025_rejects_an_authority_that_carries_a_path() {
    for authority in [
        "api.example.com/x",
        "api.example.com?x",
        "api.example.com#x",
    ] {
        let denied = Target::from_parts(Some("https"), authority, "/", "GET");
        assert_eq!(denied.unwrap_err().rule, "url.host", "{authority}");
    }
}

#[test]
fn net_026_denies_connect_and_trace_to_an_allowed_host() {
    for method in ["CONNECT", "TRACE"] {
        assert_eq!(
            Target::parse("https://api.example.com/", method)
                .unwrap_err()
                .rule,
            "http.method"
        );
        assert!(HttpRule::new("https://api.example.com/", &[method]).is_err());
    }
}

#[test]
fn net_027_denies_a_method_that_no_rule_names() {
    let target = Target::parse("https://api.example.com/", "POST").unwrap();
    let denied = decide_http(&rules(API), &target).unwrap_err();
    assert_eq!(denied.rule, "http[0].methods");
    assert_eq!(
        denied.cure.as_deref(),
        Some("methods = [\"GET\", \"POST\"]")
    );
}

#[test]
fn net_028_rejects_methods_that_are_not_upper_case_words() {
    for method in [
        "get",
        "Get",
        "GET ",
        " GET",
        "GE T",
        "GET\r\nX: y",
        "",
        "GET\0",
        "-GET",
        "G3T",
        "ＧＥＴ",
    ] {
        let denied = Target::parse("https://api.example.com/", method).unwrap_err();
        assert_eq!(denied.rule, "http.method", "{method:?}");
    }
    assert_eq!(
        Target::parse("https://a.example.com/", &"A".repeat(33))
            .unwrap_err()
            .rule,
        "http.method"
    );
}

#[test]
fn net_030_denies_other_schemes() {
    for url in [
        "HTTPS://api.example.com/",
        "Https://api.example.com/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "file://api.example.com/",
        "ws://api.example.com/",
        "wss://api.example.com/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "blob:https://api.example.com/",
        "https:api.example.com",
        "https:/api.example.com",
    ] {
        assert_eq!(no(API, url), "url.scheme", "{url}");
    }
}

#[test]
fn net_031_denies_a_missing_scheme() {
    let denied = Target::from_parts(None, "api.example.com", "/", "GET").unwrap_err();
    assert_eq!(denied.rule, "url.scheme");
    assert_eq!(no(API, "//api.example.com/"), "url.scheme");
    assert_eq!(no(API, "api.example.com/"), "url.scheme");
}

#[test]
fn net_032_denies_a_homograph_and_shows_its_punycode() {
    let denied = get(&["https://example.com"], "https://ex\u{430}mple.com/").unwrap_err();
    assert_eq!(denied.rule, "http#none");
    assert_eq!(denied.wanted, "GET https://xn--exmple-4nf.com/");
}

#[test]
fn net_032_allows_an_international_name_by_its_punycode_rule() {
    let rules = &["https://xn--bcher-kva.example/"];
    assert_eq!(get(rules, "https://bücher.example/"), Ok(0));
    assert_eq!(get(rules, "https://xn--bcher-kva.example/"), Ok(0));
}

#[test]
fn net_033_rejects_punycode_that_hides_ascii() {
    for host in [
        "xn--example-.org",
        "example.org.xn--",
        "xn--.example.org",
        "XN--example-.org",
        "xn--a",
    ] {
        let url = format!("https://{host}/");
        assert!(
            no(&["https://example.org"], &url).starts_with("url."),
            "{url}"
        );
    }
}

#[test]
fn net_034_rejects_invisible_characters() {
    for hidden in [
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{2060}',
        '\u{feff}',
        '\u{202e}',
        '\u{e0041}',
        '\u{fe0f}',
    ] {
        for url in [
            format!("https://api.exa{hidden}mple.com/"),
            format!("https://api.example.com/{hidden}"),
        ] {
            assert_eq!(no(API, &url), "url.invisible", "{hidden:?}");
        }
    }
}

#[test]
fn net_034_shows_invisible_characters_escaped() {
    let denied = get(API, "https://api.exa\u{200b}mple.com/").unwrap_err();
    assert_eq!(denied.wanted, "GET https://api.exa\\u{200b}mple.com/");
}

#[test]
fn net_035_denies_circled_and_fullwidth_digits_as_loopback() {
    for host in ["①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1"] {
        assert_eq!(
            no(&["http://127.0.0.1"], &format!("http://{host}/")),
            "egress.loopback",
            "{host}"
        );
    }
}

#[test]
fn net_036_denies_dots_of_other_scripts_in_names() {
    // U+3002 is a dot to IDNA: the name that both parsers see is the canonical one.
    let target = Target::parse("https://api。example.com/", "GET").unwrap();
    assert_eq!(target.host(), "api.example.com");
    assert_eq!(no(API, "https://evil。test/"), "http#none");
}

#[test]
fn net_037_rejects_labels_over_63_and_hosts_over_253() {
    let label = |len: usize| "a".repeat(len);
    assert!(Target::parse(&format!("https://{}.com/", label(63)), "GET").is_ok());
    assert_eq!(no(API, &format!("https://{}.com/", label(64))), "url.host");
    let host = |last: usize| format!("{0}.{0}.{0}.{1}", label(63), label(last));
    assert_eq!(host(61).len(), 253);
    assert!(Target::parse(&format!("https://{}/", host(61)), "GET").is_ok());
    assert_eq!(no(API, &format!("https://{}/", host(62))), "url.host");
    assert_eq!(no(API, "https://a..example.com/"), "url.host");
    assert_eq!(no(API, "https://.example.com/"), "url.host");
}

#[test]
fn net_038_rejects_long_urls_before_parsing_them() {
    let url = |len: usize| format!("https://api.example.com/{}", "x".repeat(len - 24));
    assert_eq!(url(8192).len(), 8192);
    assert_eq!(get(API, &url(8192)), Ok(0));
    assert_eq!(no(API, &url(8193)), "url.length");
    let denied = get(API, &format!("https://{}?x", "a".repeat(1 << 20))).unwrap_err();
    assert_eq!(denied.rule, "url.length");
    assert!(
        denied.wanted.len() < 1024,
        "a denial does not repeat a megabyte"
    );
}

#[test]
fn net_039_rejects_an_empty_host() {
    for url in [
        "https:///x",
        "https://:443/",
        "https://",
        "https:////api.example.com",
        "https://?x",
        "https://#x",
    ] {
        assert!(no(API, url).starts_with("url."), "{url}");
    }
}

#[test]
fn net_039_rejects_broken_ports() {
    for port in [
        "",
        "0",
        "00443",
        "+443",
        "-1",
        "65536",
        "443x",
        "４４３",
        "99999999999",
    ] {
        let url = format!("https://api.example.com:{port}/");
        assert_eq!(no(API, &url), "url.port", "{url}");
    }
}

#[test]
fn net_040_rejects_a_zone() {
    assert_eq!(no(API, "http://[fe80::1%25lo]/"), "url.zone");
    assert_eq!(no(API, "http://[fe80::1%lo]/"), "url.zone");
}

#[test]
fn denies_everything_without_rules() {
    assert_eq!(no(&[], "https://api.example.com/"), "http#none");
}

#[test]
fn denies_when_a_rule_is_not_canonical() {
    for url in [
        "https:/",
        "https://",
        "h",
        "",
        "https://api.example.com",
        "https://api.example.com:443",
    ] {
        let mut broken = rules(API);
        broken[0].url = url.to_owned();
        let target = Target::parse("https://api.example.com/", "GET").unwrap();
        assert!(decide_http(&broken, &target).is_err(), "{url}");
    }
}

#[test]
fn denies_with_the_lines_that_would_allow() {
    let denied = get(&[], "https://api.example.com/v1/x?token=secret").unwrap_err();
    let cure = denied.cure.unwrap();
    assert_eq!(
        cure,
        "[[http]]\nurl = \"https://api.example.com/v1/x\"\nmethods = [\"GET\"]"
    );
    assert!(
        !denied.wanted.contains("secret"),
        "a query may hold a secret"
    );
}

#[test]
fn takes_the_first_rule_that_names_place_and_method() {
    let mut rules = rules(&["https://a.example.com/v1/", "https://a.example.com/"]);
    rules[0].methods = vec!["POST".to_owned()];
    let get = Target::parse("https://a.example.com/v1/x", "GET").unwrap();
    assert_eq!(decide_http(&rules, &get).unwrap().index, 1);
    let post = Target::parse("https://a.example.com/v1/x", "POST").unwrap();
    assert_eq!(decide_http(&rules, &post).unwrap().index, 0);
}

#[test]
fn keeps_the_port_in_the_canonical_url() {
    let target = Target::parse("http://a.example.com:8080/x?y", "GET").unwrap();
    assert_eq!(target.url(), "http://a.example.com:8080/x?y");
    assert_eq!((target.scheme(), target.port()), ("http", 8080));
    assert_eq!(target.origin(), "http://a.example.com:8080");
    assert_eq!((target.path(), target.path_and_query()), ("/x", "/x?y"));
    assert_eq!(target.to_string(), "GET http://a.example.com:8080/x");
}
