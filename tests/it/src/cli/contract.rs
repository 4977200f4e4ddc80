//! The promise of a closed contract: components that were built when it was closed load and answer, whatever became of
//! the SDKs since. They are kept as bytes, because what is built anew would only show that today's SDK fits today's host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::plan;
use super::script::{compiled, everything, mirror, profile};
use crate::support::{Home, confines, repository};

/// Where what was kept of the first contract is; `tests/compat/README.md` says how it was made.
fn kept() -> PathBuf {
    repository().join("tests/compat/0.1.0")
}

/// What the list says of each file: its SHA-256, that of a component before it was packed.
fn listed() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(kept().join("SHA256SUMS")).unwrap();
    let line = |line: &str| {
        let (digest, name) = line.split_once("  ").unwrap();
        (name.to_owned(), digest.to_owned())
    };
    text.lines().map(line).collect()
}

/// The bytes of a kept file, which are those of its digest.
fn bytes(name: &str, digest: &str) -> Vec<u8> {
    let packed = kept().join(format!("{name}.zst"));
    let bytes = match std::fs::File::open(packed) {
        Ok(packed) => zstd::decode_all(packed).unwrap(),
        Err(_) => std::fs::read(kept().join(name)).unwrap(),
    };
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(found, digest, "{name} is no longer what was kept");
    bytes
}

/// A folder with these components, and their manifests where they are not inside.
fn home(names: &[&str]) -> Home {
    let home = Home::new();
    home.warm();
    home.file("docs/a.txt", "kept");
    for (file, digest) in listed() {
        let (name, _) = file.split_once('.').unwrap();
        if names.contains(&name) {
            home.file(&file, bytes(&file, &digest));
        }
    }
    home
}

#[test]
fn every_kept_component_is_the_one_that_was_kept_and_none_is_unlisted() {
    let listed = listed();
    for (name, digest) in &listed {
        bytes(name, digest);
    }
    for entry in std::fs::read_dir(kept()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".zst").unwrap_or(&name);
        assert!(name == "SHA256SUMS" || listed.contains_key(name), "{name}");
    }
}

/// The functions of an interface, from the lines `name: func(…)` of its file.
fn functions(package: &str, version: &str) -> BTreeSet<String> {
    let folder = repository().join("wit").join(package).join(version);
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let names = text.lines().filter_map(|line| line.split_once(": func("));
        found.extend(names.map(|(name, _)| name.trim().trim_start_matches('%').to_owned()));
    }
    found
}

#[test]
fn every_function_and_role_of_the_contract_is_used_by_a_kept_component() {
    let components = [
        "rust_tool",
        "rust_agent",
        "rust_guardrail",
        "rust_mcp_adapter",
        "ts_tool",
        "py_tool",
    ];
    let home = home(&components);
    let mut imported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut exported = BTreeSet::new();
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().unwrap().iter();
        texts.map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    for name in components {
        let file = format!("{name}.wasm");
        let seen = home.flowhost(&["inspect", &file, "--json"]).expect(0);
        let seen = seen.json();
        for import in seen["imports"].as_array().unwrap() {
            let interface = import["interface"].as_str().unwrap().to_owned();
            let items = imported.entry(interface).or_default();
            items.extend(texts(&import["items"]));
        }
        exported.extend(texts(&seen["exports"]));
    }
    for role in ["agent", "tool", "guardrail", "mcp-adapter"] {
        let role = format!("flowhost:roles/{role}@0.1.0");
        assert!(exported.contains(&role), "{role} of {exported:?}");
    }
    let lock = std::fs::read_to_string(repository().join("wit/LOCK")).unwrap();
    let locked = lock.lines().map(|line| line.split_once("  ").unwrap().1);
    for (package, version) in locked.map(|it| it.split_once('/').unwrap()) {
        // These two are not imported: roles are exported, and types have no functions.
        if ["roles", "types"].contains(&package) {
            continue;
        }
        let interface = format!("flowhost:{package}/{package}@{version}");
        let used = imported.get(&interface).cloned().unwrap_or_default();
        let all = functions(package, version);
        assert!(!all.is_empty(), "{interface} has no function");
        let left: Vec<_> = all.difference(&used).collect();
        assert!(left.is_empty(), "{interface}: nobody imports {left:?}");
    }
}

#[test]
fn tools_agent_and_guardrail_that_were_kept_still_answer() {
    let home = home(&["rust_tool", "rust_agent", "rust_guardrail", "ts_tool"]);
    let address = mirror();
    profile(&home, &everything(address));
    let plugins = "  rust: { kind: tool, source: ./rust_tool.wasm, profile: under-test, config: { greeting: hi } }\n  \
                   agent: { kind: agent, source: ./rust_agent.wasm, profile: deny-all }\n  \
                   guard: { kind: guardrail, source: ./rust_guardrail.wasm, profile: deny-all }\n  \
                   it: { kind: tool, source: ./ts_tool.wasm, profile: under-test, config: { greeting: hi } }\n";
    let steps = format!(
        "  rust: {{ uses: rust/run, with: {{}} }}\n  \
         agent: {{ uses: agent, with: {{ a: 1 }}, guardrails: {{ before: [{{ uses: guard, with: {{ action: rewrite }} }}] }} }}\n  \
         ts: {{ uses: it/look, with: {{ url: \"http://{address}/x\" }} }}\n\
         outputs: {{ rust: \"${{{{ steps.rust.output }}}}\", agent: \"${{{{ steps.agent.output }}}}\", ts: \"${{{{ steps.ts.output }}}}\" }}"
    );
    home.file("plan.yaml", plan(plugins, &steps));
    let arguments = [
        "run",
        "plan.yaml",
        "--json",
        "--allow-private-network",
        "--policies",
        "policies",
    ];
    let report = home.flowhost(&arguments).expect(0).json();
    let said = &report["outputs"];
    assert_eq!(said["agent"]["input"], json!({ "rewritten": true }));
    let rust = &said["rust"];
    assert_eq!(rust["files"], json!(["/docs"]), "{rust:#}");
    assert_eq!(rust["config"], "{\"greeting\":\"hi\"}");
    assert_eq!(rust["random"], json!({ "ok": 4 }));
    assert_eq!(rust["state"], json!({ "ok": [] }));
    assert_eq!(rust["http"]["error"]["rule"], "http#none", "{rust:#}");
    assert_eq!(rust["model"]["error"]["case"], "invalid", "{rust:#}");
    let ts = &said["ts"];
    assert_eq!(ts["fetched"]["status"], 201, "{ts:#}");
    assert_eq!(ts["read"], "kept");
    assert_eq!(ts["outside"]["denied"], "files");
}

#[test]
fn a_tool_in_python_that_was_kept_still_answers() {
    let home = home(&["py_tool"]);
    compiled(&home, "py_tool");
    profile(&home, &everything("127.0.0.1:9".parse().unwrap()));
    let plugins = "  it: { kind: tool, source: ./py_tool.wasm, profile: under-test }\n";
    let steps = "  only: { uses: it/count, with: { text: \"a bb ccc\", least: 2 } }\n\
                 outputs: { only: \"${{ steps.only.output }}\" }";
    home.file("plan.yaml", plan(plugins, steps));
    let arguments = [
        "run",
        "plan.yaml",
        "--json",
        "--allow-private-network",
        "--policies",
        "policies",
    ];
    let report = home.flowhost(&arguments).expect(0).json();
    assert_eq!(report["outputs"]["only"]["words"], 2, "{report:#}");
}

#[test]
fn an_adapter_that_was_kept_still_speaks_with_a_server() {
    if !confines() {
        return;
    }
    let home = home(&["rust_mcp_adapter"]);
    let script = std::fs::read(repository().join("tests/mcp/server.pl")).unwrap();
    home.file("server/server.pl", script);
    home.file(
        "policies/peer.toml",
        "version = 1\nname = \"peer\"\n[limits]\ndeadline = \"20s\"\n\
         [[process]]\ncommand = [\"perl\", \"/server/server.pl\", \"modern\"]\n\
         [[files]]\nguest = \"/server\"\nhost = \"server\"\naccess = \"read\"\n",
    );
    let plugins = "  peer: { kind: mcp_adapter, source: ./rust_mcp_adapter.wasm, profile: peer }\n";
    let steps = "  only: { uses: peer/shout, with: { text: hello } }\n\
                 outputs: { only: \"${{ steps.only.output }}\" }";
    home.file("plan.yaml", plan(plugins, steps));
    let ran = home.flowhost(&["run", "plan.yaml", "--json", "--allow-process"]);
    let report = ran.expect(0).json();
    assert_eq!(report["outputs"]["only"], json!({ "text": "HELLO" }));
}
