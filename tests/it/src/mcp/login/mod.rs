//! Logins at MCP servers: a person logs in by `flowhost mcp login`, and runs use the token without ever seeing it.

mod authority;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::support::{Home, Ran};
use authority::{Form, Manners, Twist, Two, browse};

fn spawn(home: &Home, arguments: &[&str]) -> Child {
    let mut command = home.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Logs in, with what the browser does at the page that is shown.
fn log_in_by(home: &Home, arguments: &[&str], browser: impl FnOnce(&str)) -> Ran {
    let arguments = [&["mcp", "login", "notes", "--no-browser"], arguments].concat();
    let mut child = spawn(home, &arguments);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    loop {
        let mut line = String::new();
        if stderr.read_line(&mut line).unwrap() == 0 {
            break;
        }
        told += &line;
        if line.starts_with("  http") {
            browser(line.trim());
            break;
        }
    }
    stderr.read_to_string(&mut told).unwrap();
    let mut output: Output = child.wait_with_output().unwrap();
    output.stderr = told.into_bytes();
    home.ran(&output, &arguments)
}

fn log_in(home: &Home, arguments: &[&str]) -> Ran {
    log_in_by(home, arguments, |page| drop(browse(page)))
}

/// A folder with a plan that calls the server's tool, with the login's token, and the person logged in.
fn home(two: &Two) -> Home {
    let home = Home::new();
    home.warm();
    plan(&home, &two.url(), "inject = { login = \"notes\" }");
    let logged_in = log_in(&home, &[&two.url(), "--allow-private-network"]).expect(0);
    assert!(logged_in.stdout.contains("inject = { login = \"notes\" }"));
    home
}

fn plan(home: &Home, url: &str, inject: &str) {
    home.file(
        "policies/peer.toml",
        format!(
            "version = 1\nname = \"peer\"\nlog = true\n[limits]\ndeadline = \"20s\"\n[[http]]\nurl = \"{url}\"\n\
             methods = [\"POST\", \"GET\", \"DELETE\"]\nprivate_network = true\n{inject}\n"
        ),
    );
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  peer: {{ kind: mcp_adapter, source: \"builtin:mcp-client\", \
             profile: peer, config: {{ url: \"{url}\" }} }}\nsteps:\n  a: {{ uses: peer/shout, with: {{ text: hello }} }}\noutputs: {{ a: \
             \"${{{{ steps.a.output.text }}}}\" }}\n"
        ),
    );
}

fn run(home: &Home) -> Ran {
    home.flowhost(&[
        "run",
        "plan.yaml",
        "--policies",
        "policies",
        "--allow-private-network",
        "--json",
    ])
}

fn status(home: &Home) -> Value {
    let told = home.flowhost(&["mcp", "status", "--json"]).expect(0);
    told.json()["logins"].clone()
}

/// Every file below a folder that holds this text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(holding(&entry.path(), text));
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            if bytes.windows(text.len()).any(|it| it == text.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

/// Every file below a folder whose name ends so.
fn holding_names(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| match path.is_dir() && !path.is_symlink() {
        true => holding_names(&path, ending),
        false => vec![path],
    });
    let is_it = |path: &PathBuf| path.to_string_lossy().ends_with(ending);
    found.filter(is_it).collect()
}

#[test]
fn a_person_logs_in_once_and_no_guest_record_or_file_holds_the_token() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    let ran = run(&home).expect(0);
    assert_eq!(ran.json()["outputs"]["a"], "HELLO");
    let asked = two.server.asked();
    let shown = |it: &&crate::mcp::site::Asked| it.header("authorization").is_some();
    assert!(asked.iter().filter(shown).count() > 1, "{asked:?}");
    // Whatever was given, in whatever form: the file of the login is sealed, and nothing else has it.
    assert!(!two.books().given.is_empty());
    assert_eq!(holding(home.path(), "-canary-"), Vec::<String>::new());
    let uses: Vec<Value> = home
        .records()
        .into_iter()
        .filter(|it| it["kind"] == "secret.use")
        .collect();
    assert!(
        uses.iter()
            .all(|it| it["secret"] == "login:notes" && it["use"] == "inject")
    );
    assert!(!uses.is_empty());

    let told = &status(&home)[0];
    assert_eq!(told["standing"], "good");
    assert_eq!(told["server"], two.url());
    assert_eq!(told["scopes"], json!(["list"]));
    assert_eq!(told["renews"], true);
    let shown = home.flowhost(&["mcp", "status"]).expect(0);
    assert!(shown.stdout.contains("notes") && shown.stdout.contains(", renews"));
    assert!(!shown.stdout.contains("canary") && !told.to_string().contains("canary"));
}

#[test]
fn a_token_is_renewed_before_its_end_and_each_refresh_token_is_used_once() {
    let two = Two::start(Manners {
        lifetime: 30,
        ..Manners::default()
    });
    let home = home(&two);
    run(&home).expect(0);
    // Reused, it would have been refused, and the run with it.
    assert!(two.books().renewed > 1);
    assert!(status(&home)[0]["renewed_at"].is_string());
}

#[test]
fn a_token_that_the_server_no_longer_takes_is_renewed_and_the_request_sent_once_more() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    two.books().forget_access();
    run(&home).expect(0);
    assert_eq!(two.books().renewed, 1);
}

#[test]
fn a_login_that_was_revoked_ends_a_run_before_its_first_step_and_says_what_to_do() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    two.books().forget_all();
    let ran = run(&home);
    assert_ne!(ran.code, 0);
    let all = ran.all();
    assert!(
        all.contains("invalid_grant") && all.contains("flowhost mcp login notes"),
        "{all}"
    );
    assert_eq!(two.server.count(|it| it.what() == "tools/call"), 0);
    assert_eq!(status(&home)[0]["standing"], "ended");
    // What is over is not asked for again.
    let renewed = two.books().renewed;
    assert_ne!(run(&home).code, 0);
    assert_eq!(two.books().renewed, renewed);
    let noted = home.flowhost(&["validate", "plan.yaml", "--policies", "policies"]);
    assert!(
        noted.all().contains("the login `notes` is over"),
        "{}",
        noted.all()
    );
    log_in(&home, &[]).expect(0);
    run(&home).expect(0);
}

#[test]
fn a_server_that_wants_more_gets_it_from_the_person_and_not_before() {
    let two = Two::start(Manners {
        call: "shout",
        ..Manners::default()
    });
    let home = home(&two);
    let ran = run(&home);
    assert_ne!(ran.code, 0);
    let all = ran.all();
    assert!(
        all.contains("wants more than the login `notes` allows"),
        "{all}"
    );
    assert_eq!(status(&home)[0]["wanted"], json!(["shout"]));
    log_in(&home, &[]).expect(0);
    assert_eq!(two.books().asked_for, ["list", "list shout"]);
    run(&home).expect(0);
}

#[test]
fn mcp_017_a_token_goes_to_no_other_server_whatever_the_profile_says() {
    let (two, other) = (
        Two::start(Manners::default()),
        Two::start(Manners::default()),
    );
    let home = home(&two);
    plan(&home, &other.url(), "inject = { login = \"notes\" }");
    let ran = run(&home);
    assert_ne!(ran.code, 0);
    assert!(ran.all().contains("goes nowhere else"), "{}", ran.all());
    assert_eq!(other.server.asked().len(), 0);
}

#[test]
fn a_profile_that_came_with_the_plan_gets_no_login() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    let ran = home.flowhost(&["run", "plan.yaml", "--allow-private-network"]);
    assert_ne!(ran.code, 0);
    assert!(ran.all().contains("wants credentials"), "{}", ran.all());
    let shown = two.server.count(|it| it.header("authorization").is_some());
    assert_eq!(shown, 0);
}

#[test]
fn processes_that_renew_one_refresh_token_at_once_take_turns() {
    let two = Two::start(Manners {
        lifetime: 30,
        ..Manners::default()
    });
    let home = home(&two);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| run(&home))).collect();
        for ran in runs {
            ran.join().unwrap().expect(0);
        }
    });
    assert!(two.books().renewed >= 3);
    assert_eq!(status(&home)[0]["standing"], "renews");
    run(&home).expect(0);
}

/// Whether a process that was begun has ended, a moment later.
fn is_over(child: &mut Child) -> bool {
    std::thread::sleep(Duration::from_millis(500));
    child.try_wait().unwrap().is_some()
}

#[test]
fn whoever_logs_in_or_out_waits_for_a_process_that_renews() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    let sealed = holding_names(home.path(), ".login").pop().unwrap();
    let lock = std::fs::File::create(sealed.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let before = std::fs::read(&sealed).unwrap();
    let mut login = spawn(&home, &["mcp", "login", "notes", "--no-browser"]);
    let mut stderr = BufReader::new(login.stderr.take().unwrap()).lines();
    let page = stderr.find_map(|line| line.unwrap().strip_prefix("  http").map(str::to_owned));
    browse(&format!("http{}", page.unwrap()));
    let mut logout = spawn(&home, &["mcp", "logout", "notes"]);
    assert!(!is_over(&mut login) && !is_over(&mut logout));
    // What would be written now, of the one that renews, is written over by neither.
    assert_eq!(std::fs::read(&sealed).unwrap(), before);
    assert_eq!(two.books().back, Vec::<String>::new());
    drop(lock);
    assert!(login.wait().unwrap().success() && logout.wait().unwrap().success());
}

#[test]
fn a_login_is_given_back_and_forgotten() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    let out = home.flowhost(&["mcp", "logout", "notes"]).expect(0);
    assert!(out.stdout.contains("were given back"), "{}", out.stdout);
    // Each statement gives the books back: one that asks for them twice would wait for itself.
    let given = two.books().given.clone();
    let mut back = two.books().back.clone();
    back.reverse();
    assert_eq!(given, back);
    assert_eq!(status(&home), json!([]));
    let again = home.flowhost(&["mcp", "logout", "notes"]);
    assert_ne!(again.code, 0);
    assert!(again.stderr.contains("nobody is logged in as `notes`"));
    let noted = home.flowhost(&["validate", "plan.yaml", "--policies", "policies"]);
    assert!(
        noted.all().contains("nobody is logged in as `notes`"),
        "{}",
        noted.all()
    );
    let ran = run(&home);
    assert_ne!(ran.code, 0);
    assert!(
        ran.all().contains("flowhost mcp login notes URL"),
        "{}",
        ran.all()
    );
}

#[test]
fn mcp_028_each_login_is_a_client_of_its_own() {
    let two = Two::start(Manners::default());
    let home = home(&two);
    let first = status(&home)[0]["client"].clone();
    log_in(&home, &[]).expect(0);
    assert_ne!(status(&home)[0]["client"], first);
}

/// A login that has to fail, with a word of why.
fn fails(manners: Manners, why: &str) {
    let two = Two::start(manners);
    let home = Home::new();
    let ran = log_in(&home, &[&two.url(), "--allow-private-network"]);
    assert_eq!(ran.code, 1, "{why}: {}", ran.all());
    let all = ran.all();
    assert!(
        all.contains(why) && all.contains("nobody was logged in"),
        "{why}: {all}"
    );
    assert!(!all.contains("canary"), "{all}");
    assert_eq!(status(&home), json!([]), "{why}");
}

#[test]
fn mcp_024_nothing_is_believed_of_an_authority_that_is_not_what_it_should_be() {
    let well = Manners::default();
    let cases: [(Twist<Value>, &str); 8] = [
        (
            |it| it["filler"] = json!("x".repeat(300 << 10)),
            "length limit exceeded",
        ),
        (
            |it| it["issuer"] = json!("https://evil.example"),
            "it is of `https://evil.example`",
        ),
        (
            |it| it["code_challenge_methods_supported"] = json!(["plain"]),
            "PKCE with S256",
        ),
        (
            |it| it["authorization_endpoint"] = json!("javascript:alert(1)"),
            "which no such address needs",
        ),
        (
            |it| it["authorization_endpoint"] = json!("file:///etc/passwd"),
            "begins with `file:`",
        ),
        (
            |it| it["authorization_endpoint"] = json!("https://a.example/$(reboot)"),
            "a shell",
        ),
        (
            |it| it["token_endpoint"] = json!("http://auth.example.com/token"),
            "everybody on the way reads along",
        ),
        (
            |it| drop(it.as_object_mut().unwrap().remove("registration_endpoint")),
            "--client-id",
        ),
    ];
    for (authority, why) in cases {
        fails(Manners { authority, ..well }, why);
    }
}

#[test]
fn mcp_023_nothing_is_believed_of_a_server_that_describes_another_or_nothing() {
    let well = Manners::default();
    let cases: [(Twist<Value>, &str); 4] = [
        (|it| *it = Value::Null, "does not say where to log in"),
        (
            |it| it["resource"] = json!("https://bank.example/mcp"),
            "it is of `https://bank.example/mcp`",
        ),
        (
            |it| it["authorization_servers"] = json!([]),
            "names no `authorization_servers`",
        ),
        (
            |it| it["authorization_servers"] = json!(["https://169.254.169.254"]),
            "its address is not asked",
        ),
    ];
    for (resource, why) in cases {
        fails(Manners { resource, ..well }, why);
    }
}

#[test]
fn nothing_is_believed_of_an_answer_to_another_login() {
    let well = Manners::default();
    let cases: [(Twist<Form>, &str); 5] = [
        (
            |it| drop(it.insert("state".to_owned(), "another".to_owned())),
            "its `state` is another",
        ),
        (
            |it| drop(it.insert("iss".to_owned(), "https://evil.example".to_owned())),
            "came from `https://evil.example`",
        ),
        (|it| drop(it.remove("iss")), "`iss` is missing"),
        (
            |it| drop(it.insert("error".to_owned(), "access_denied".to_owned())),
            "access_denied",
        ),
        (|it| drop(it.remove("code")), "no `code`"),
    ];
    for (answer, why) in cases {
        fails(Manners { answer, ..well }, why);
    }
}

#[test]
fn mcp_025_nothing_is_believed_that_is_no_token() {
    let well = Manners::default();
    for (token, why) in [
        (
            (200, "content-type: text/html\r\n", "<html>canary</html>"),
            "a page for people",
        ),
        ((500, "", "<html>oops</html>"), "HTTP 500"),
        (
            (
                200,
                "",
                "{\"access_token\":\"canary\",\"token_type\":\"mac\"}",
            ),
            "not a bearer's",
        ),
        (
            (307, "location: https://evil.example/token\r\n", ""),
            "is not followed",
        ),
    ] {
        let token = Some(token);
        fails(Manners { token, ..well }, why);
    }
}

#[test]
fn an_address_of_this_machine_is_asked_where_the_person_says_so_alone() {
    let two = Two::start(Manners::default());
    let home = Home::new();
    let ran = log_in(&home, &[&two.url()]).expect(1);
    assert!(
        ran.stderr.contains("--allow-private-network"),
        "{}",
        ran.stderr
    );
    assert_eq!(two.server.asked().len(), 0);
    for (url, why) in [
        ("http://mcp.example.com/mcp", "https:"),
        ("https://me:pass@mcp.example.com/mcp", "a password"),
        ("mcp.example.com", "not an address"),
    ] {
        let ran = log_in(&home, &[url]).expect(64);
        assert!(ran.stderr.contains(why), "{url}: {}", ran.stderr);
    }
    let ran = log_in(&home, &[]).expect(64);
    assert!(ran.stderr.contains("name the server"), "{}", ran.stderr);
}

#[test]
fn nothing_but_the_page_of_the_login_is_served_and_the_document_holds_no_token() {
    let two = Two::start(Manners::default());
    let home = Home::new();
    let ran = log_in_by(
        &home,
        &[&two.url(), "--allow-private-network", "--json"],
        |page| {
            let back = page.split("redirect_uri=").nth(1).unwrap();
            let back = back.split('&').next().unwrap();
            let back = back.replace("%3A", ":").replace("%2F", "/");
            // Browsers ask for this by themselves: it is no answer.
            assert!(browse(&back.replace("/callback", "/favicon.ico")).contains("404"));
            assert!(browse(page).contains("flowhost has the answer"));
        },
    );
    let told = ran.expect(0).json();
    assert_eq!(told["name"], "notes");
    assert!(!told.to_string().contains("canary"));
}

/// A file of the operator's.
fn put(home: &Home, name: &str, text: &str) {
    let path = home.file(&format!("home-of-user/.config/flowhost/{name}"), text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_private_authority_vouches_for_the_server_and_for_whoever_logs_people_in() {
    let house = Authority::new();
    let manners = Manners {
        // Each request renews: the authority is asked in a run, too.
        lifetime: 30,
        ..Manners::default()
    };
    let two = Two::behind(manners, &house.server());
    let home = Home::new();
    home.warm();
    plan(&home, &two.url(), "inject = { login = \"notes\" }");
    let (url, private) = (two.url(), "--allow-private-network");
    let refused = log_in(&home, &[&url, private]).expect(1);
    let told = refused.all();
    assert!(
        told.contains("UnknownIssuer") && told.contains("[[tls]]"),
        "{told}"
    );
    assert_eq!(two.server.asked().len(), 0);

    put(&home, "house.pem", &house.pem());
    let line = "[[tls]]\nhosts = [\"127.0.0.1\"]\nca = \"house.pem\"\n";
    put(&home, "flowhost.toml", line);
    log_in_by(&home, &[&url, private], |page| drop(two.browse(page))).expect(0);
    let ran = run(&home).expect(0);
    assert_eq!(ran.json()["outputs"]["a"], "HELLO");
    assert!(two.books().renewed > 1);
    let out = home.flowhost(&["mcp", "logout", "notes"]).expect(0);
    assert!(out.stdout.contains("were given back"), "{}", out.stdout);
}

#[test]
fn an_authority_that_is_another_vouches_for_nobody_and_a_wrong_file_is_told_before_a_run() {
    let house = Authority::new();
    let two = Two::behind(Manners::default(), &house.server());
    let home = Home::new();
    home.warm();
    plan(&home, &two.url(), "");
    let line = "[[tls]]\nhosts = [\"127.0.0.1\"]\nca = \"house.pem\"\n";
    put(&home, "flowhost.toml", line);
    put(&home, "house.pem", &Authority::new().pem());
    let url = two.url();
    let refused = log_in(&home, &[&url, "--allow-private-network"]).expect(1);
    assert!(
        refused.all().contains("invalid peer certificate"),
        "{}",
        refused.all()
    );
    let ran = run(&home);
    assert!(
        ran.code != 0 && ran.all().contains("invalid peer certificate"),
        "{}",
        ran.all()
    );
    put(&home, "house.pem", "hello");
    let checked = home.flowhost(&["validate", "plan.yaml", "--policies", "policies"]);
    let logged = log_in(&home, &[&url, "--allow-private-network"]);
    for told in [checked.expect(1), logged.expect(1), run(&home).expect(1)] {
        // Messages are broken into lines, with a bar before each.
        let told = told.all();
        let words = told.split_whitespace().filter(|it| *it != "│");
        let told = words.collect::<Vec<_>>().join(" ");
        assert!(
            told.contains("`ca` holds no certificate in PEM") && told.contains("house.pem"),
            "{told}"
        );
    }
    assert_eq!(two.server.asked().len(), 0);
}
