//! Packets of a spec through the built executable.

use std::io::{Cursor, Read as _};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::examples::example;
use crate::support::Home;

fn run(home: &Home, seed: &str, code: i32) {
    home.flowhost(&["run", "plan.yaml", "--seed", seed])
        .expect(code);
}

/// The files of a packet, by their names.
fn unzipped(home: &Home, name: &str) -> std::collections::BTreeMap<String, String> {
    let bytes = std::fs::read(home.path().join(name)).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = std::collections::BTreeMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        files.insert(file.name().to_owned(), text);
    }
    files
}

#[test]
fn packets_of_a_spec_are_the_same_for_the_same_evidence_and_say_what_is_open() {
    let home = example("spec-kit-900");
    let none = home.flowhost(&["evidence", "kit", "SPEC-KIT-900", "--out", "kit.zip"]);
    assert!(
        none.expect(1)
            .stderr
            .contains("the folder `evidence` does not exist")
    );
    run(&home, "7", 0);
    let kit = [
        "evidence",
        "kit",
        "SPEC-KIT-900",
        "--out",
        "kit.zip",
        "--json",
    ];
    let first = home.flowhost(&kit).expect(0).json();
    let second = home.flowhost(&kit).expect(0).json();
    assert_eq!(first["sha256"], second["sha256"]);
    let files = unzipped(&home, "kit.zip");
    assert!(
        files["synopsis.md"].contains("| unlock | ok |"),
        "{}",
        files["synopsis.md"]
    );
    assert!(
        files["retry.md"].contains("nothing has to be tried again"),
        "{}",
        files["retry.md"]
    );
    let output: Value = serde_json::from_str(&files["outputs/tasks.json"]).unwrap();
    assert_eq!(output["tasks"].as_array().unwrap().len(), 9);
    for what in [
        "- [x] unlock: no conflict is open",
        "- [ ] security review of T1",
    ] {
        assert!(
            files["checklist.md"].contains(what),
            "{}",
            files["checklist.md"]
        );
    }
    let other = home
        .flowhost(&["evidence", "kit", "SPEC-1", "--out", "x.zip"])
        .expect(1);
    assert!(
        other.stderr.contains("it has that of `SPEC-KIT-900`"),
        "{}",
        other.stderr
    );

    let slashed = home
        .flowhost(&["evidence", "ls", "../SPEC-KIT-900/x"])
        .expect(1);
    assert!(
        slashed.stderr.contains("it has that of `SPEC-KIT-900`"),
        "{}",
        slashed.stderr
    );
    std::os::unix::fs::symlink("evidence", home.path().join("linked")).unwrap();
    for command in [
        &["evidence", "ls", "SPEC-KIT-900", "--evidence", "linked"][..],
        &["telemetry", "report", "--mock", "--evidence", "linked/"],
    ] {
        let refused = home.flowhost(command).expect(1);
        assert!(
            refused.stderr.contains("is a symbolic link"),
            "{}",
            refused.stderr
        );
    }

    let said = |task: &str, says: &str| {
        let by = ["--by", "jane", "--note", "read the change", "--json"];
        let head = [
            "evidence",
            "security",
            "SPEC-KIT-900",
            "--task",
            task,
            "--says",
            says,
        ];
        home.flowhost(&[&head[..], &by].concat())
    };
    assert!(
        said("T4", "passed")
            .expect(1)
            .stdout
            .contains("flagged are T1, T3, T5, T7")
    );
    let passed = said("T1", "passed").expect(0).json();
    home.flowhost(&["verify", passed["run_id"].as_str().unwrap()])
        .expect(0);
    said("T7", "failed").expect(0);
    let listed = home.flowhost(&["evidence", "security", "SPEC-KIT-900", "--json"]);
    let listed = listed.expect(0).json();
    let status: Vec<_> = listed["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["says"])
        .collect();
    assert_eq!(
        status,
        ["passed", "open", "open", "failed"]
            .map(Value::from)
            .each_ref()
    );
    assert_eq!(listed["tasks"][3]["verified"], true, "{listed:#}");

    // Words in Jane's name that no run has on record: of a time to come, and as her real one with another end.
    let real: Value = serde_json::from_str(&home.read(passed["file"].as_str().unwrap())).unwrap();
    let mut forged = real.clone();
    forged["task"] = json!("T7");
    forged["recorded_at"] = json!("2099-01-01T00:00:00.000000Z");
    let late = "evidence/commands/SPEC-KIT-900/T7_20990101T000000000000Z_jane_security.json";
    home.file(late, forged.to_string());
    forged["recorded_at"] = real["recorded_at"].clone();
    let same = passed["file"].as_str().unwrap().replace("/T1_", "/T7_");
    home.file(&same, forged.to_string());
    let told = home
        .flowhost(&["evidence", "security", "SPEC-KIT-900"])
        .expect(0);
    for part in [
        "is not the time of the run",
        "has something else on record",
        "failed",
    ] {
        assert!(told.all().contains(part), "{part}: {}", told.all());
    }
    let again = home.flowhost(&["evidence", "security", "SPEC-KIT-900", "--json"]);
    let again = again.expect(0).json();
    assert_eq!(
        (&again["tasks"], &again["invalid_files"]),
        (&listed["tasks"], &json!(2))
    );
    // The words are on record there, and no key of this host signed the record.
    let checkpoint = home
        .path()
        .join(".flowhost/default/runs")
        .join(passed["run_id"].as_str().unwrap())
        .join("checkpoint");
    let signed = std::fs::read_to_string(&checkpoint).unwrap();
    let (body, signature) = signed.trim_end().rsplit_once(' ').unwrap();
    let other: String = signature.chars().rev().collect();
    std::fs::write(&checkpoint, format!("{body} {other}\n")).unwrap();
    let told = home.flowhost(&["evidence", "security", "SPEC-KIT-900"]);
    let told = told.expect(0).all();
    assert!(told.contains("does not verify"), "{told}");
    assert!(!told.contains("passed"), "{told}");
    std::fs::write(&checkpoint, signed).unwrap();
    for path in [late, &same] {
        std::fs::remove_file(home.path().join(path)).unwrap();
    }
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);

    let audit = [
        "evidence",
        "audit",
        "SPEC-KIT-900",
        "--out",
        "audit.zip",
        "--json",
    ];
    let audit = home.flowhost(&audit).expect(0).json();
    assert_eq!(audit["costs_reconciled"], "yes", "{audit:#}");
    assert_eq!(
        (&audit["open_conflicts"], &audit["stages_not_ok"]),
        (&json!(0), &json!(0))
    );
    let files = unzipped(&home, "audit.zip");
    assert!(
        files["conflicts.md"].contains("No stage has a conflict"),
        "{}",
        files["conflicts.md"]
    );
    let sign = &files["sign-off.md"];
    assert!(sign.contains("security reviews that failed: 1"), "{sign}");
    assert!(
        files.keys().any(|it| it.starts_with("evidence/consensus/")),
        "{:?}",
        files.keys()
    );
}

/// Whoever signs a packet signs what runs have said, and no file that somebody has changed meanwhile.
#[test]
fn evidence_that_was_changed_does_not_count_and_its_run_does_not_verify() {
    let home = example("spec-kit-900");
    run(&home, "7", 0);
    let folder = home.path().join("evidence/consensus/SPEC-KIT-900");
    let find = |end: &str| {
        let names = std::fs::read_dir(&folder).unwrap();
        let mut names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
        let is_it = |name: &String| name.starts_with("spec-unlock_2") && name.ends_with(end);
        names.find(is_it).unwrap()
    };
    let audit = ["evidence", "audit", "SPEC-KIT-900", "--out", "audit.zip"];
    let packet = |more: &[&str]| {
        let told = home.flowhost(&[&audit[..], more].concat()).expect(0).all();
        (told, unzipped(&home, "audit.zip"))
    };
    let (_, files) = packet(&[]);
    let sign = &files["sign-off.md"];
    for so in [
        "stages that are not ok: none",
        "files that do not count: none",
        "stages that are unverified: none",
        "costs reconciled: yes",
    ] {
        assert!(sign.contains(so), "{so}: {sign}");
    }
    let sound = home.flowhost(&["verify", "latest"]).expect(0).stdout;
    assert!(
        sound.contains("evidence files as the run wrote them"),
        "{sound}"
    );

    type Change = fn(&mut Value);
    let changes: [(&str, Change); 3] = [
        ("_synthesis.json", |it| {
            it["output"]["decision"] = json!("hold")
        }),
        ("_verdict.json", |it| it["reason"] = json!("all is well")),
        ("_telemetry.jsonl", |it| {
            it["consensus"]["total_tokens"] = json!(5);
        }),
    ];
    for (end, change) in changes {
        let name = find(end);
        let path = format!("evidence/consensus/SPEC-KIT-900/{name}");
        let written = home.read(&path);
        let mut file: Value = serde_json::from_str(&written).unwrap();
        change(&mut file);
        home.file(&path, format!("{file}\n"));
        // It is what its form says: no schema sees it.
        home.flowhost(&["telemetry", "validate", "evidence"])
            .expect(0);
        let (told, files) = packet(&[]);
        assert!(told.contains("it was changed"), "{end}: {told}");
        let sign = &files["sign-off.md"];
        assert!(sign.contains("stages that are not ok: unlock"), "{sign}");
        assert!(sign.contains(&name), "{sign}");
        home.flowhost(&["evidence", "kit", "SPEC-KIT-900", "--out", "kit.zip"])
            .expect(0);
        let kit = unzipped(&home, "kit.zip");
        let has_output = kit.contains_key("outputs/unlock.json");
        assert_eq!(has_output, end != "_synthesis.json");
        assert!(
            kit["retry.md"].contains("## unlock: invalid"),
            "{}",
            kit["retry.md"]
        );
        let broken = home.flowhost(&["verify", "latest"]).expect(1);
        assert!(broken.all().contains(&name), "{}", broken.all());
        home.file(&path, written);
    }
    let costs = "evidence/costs/SPEC-KIT-900_cost_summary.json";
    let written = home.read(costs);
    let mut file: Value = serde_json::from_str(&written).unwrap();
    file["budget_usd"] = json!(300.0);
    home.file(costs, file.to_string());
    let (told, files) = packet(&[]);
    assert!(told.contains("no run that it or a stage names"), "{told}");
    assert!(files["sign-off.md"].contains("costs reconciled: unknown"));
    home.file(costs, written);

    // Telemetry that cannot be read is of the run that has it on record, and that run is here.
    let path = format!(
        "evidence/consensus/SPEC-KIT-900/{}",
        find("_telemetry.jsonl")
    );
    let written = home.read(&path);
    home.file(&path, "{");
    let (told, _) = packet(&[]);
    assert!(told.contains("1 stage not ok"), "{told}");
    assert!(!told.contains("nobody vouches"), "{told}");
    home.file(&path, written);

    // Where the runs are elsewhere nobody can tell, and that is said. What the next run has taken the place of is no fault.
    let (told, files) = packet(&["--state", "elsewhere"]);
    assert!(told.contains("nobody vouches for its files"), "{told}");
    let sign = &files["sign-off.md"];
    assert!(
        sign.contains("stages that are unverified: plan, tasks"),
        "{sign}"
    );
    let kit = ["evidence", "kit", "SPEC-KIT-900", "--out", "kit.zip"];
    let told = home.flowhost(&[&kit[..], &["--state", "elsewhere"]].concat());
    let told = told.expect(0).all();
    assert!(told.contains("nobody vouches for its files"), "{told}");
    let files = unzipped(&home, "kit.zip");
    assert!(files.contains_key("outputs/unverified/unlock.json"));
    assert!(!files.contains_key("outputs/unlock.json"));
    let checklist = &files["checklist.md"];
    assert!(!checklist.contains("- [x] unlock"), "{checklist}");
    let first = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let first = first[0]["run_id"].as_str().unwrap().to_owned();
    run(&home, "8", 0);
    home.flowhost(&["verify", &first]).expect(0);
    home.flowhost(&["verify", "latest"]).expect(0);
    let keep = ["evidence", "prune", "SPEC-KIT-900", "--keep", "1", "--yes"];
    home.flowhost(&keep).expect(0);
    let put_away = home.flowhost(&["verify", &first]).expect(0).stdout;
    let in_archives = "evidence files in archives as the run wrote them";
    assert!(put_away.contains(in_archives), "{put_away}");
    assert!(!put_away.contains("neither there"), "{put_away}");
}

#[test]
fn a_stage_that_stopped_is_in_the_retry_with_what_was_said_and_a_baseline_stays() {
    let home = example("spec-kit-900");
    run(&home, "7", 0);
    let baseline = [
        "evidence",
        "baseline",
        "SPEC-KIT-900",
        "--name",
        "before",
        "--json",
    ];
    let kept = home.flowhost(&baseline).expect(0).json();
    assert!(kept["files"].as_u64().unwrap() > 60, "{kept:#}");
    assert_eq!(
        home.flowhost(&baseline).expect(0).json()["sha256"],
        kept["sha256"]
    );
    let script: Value = serde_json::from_str(&home.read("scripts/unlock/claude.json")).unwrap();
    let mut script = script;
    script[0]["json"]["decision"] = json!("hold");
    home.file("scripts/unlock/claude.json", script.to_string());
    let stopped = home.flowhost(&["run", "plan.yaml", "--seed", "7"]);
    let stopped = stopped.expect(2).all();
    let words: Vec<&str> = stopped.split_whitespace().collect();
    let asked = "the arbiter was asked, and its answer does not count:";
    assert!(words.join(" ").contains(asked), "{stopped}");
    home.flowhost(&["evidence", "kit", "SPEC-KIT-900", "--out", "kit.zip"])
        .expect(0);
    let files = unzipped(&home, "kit.zip");
    let retry = &files["retry.md"];
    for part in [
        "## unlock: conflict",
        "/decision",
        "  - claude: ",
        "hold",
        "--from unlock",
        "An arbiter was asked, and its answer does not count: ",
        "## The newest run, ",
        ": conflict",
    ] {
        assert!(retry.contains(part), "{part}: {retry}");
    }
    assert!(!retry.contains("## plan"), "{retry}");
    let followed = "let an arbiter decide";
    assert!(!retry.contains(followed), "the plan has it: {retry}");
    // Another run's files under the same name are refused, and the first baseline is as it was.
    let refused = home.flowhost(&baseline).expect(1);
    assert!(
        refused.stdout.contains("is another baseline"),
        "{}",
        refused.all()
    );
    let file = home
        .path()
        .join("evidence")
        .join(kept["path"].as_str().unwrap());
    assert_eq!(
        std::fs::metadata(file).unwrap().len(),
        kept["bytes"].as_u64().unwrap()
    );
}

#[test]
fn packets_and_baselines_have_what_was_put_away_and_name_an_archive_that_cannot_be_read() {
    let home = example("spec-kit-900");
    run(&home, "7", 0);
    home.flowhost(&["run", "plan.yaml", "--only", "tasks"])
        .expect(0);
    let prune = ["evidence", "prune", "SPEC-KIT-900", "--keep", "1", "--yes"];
    home.flowhost(&prune).expect(0);
    let packet = |kind: &str| {
        let made = ["evidence", kind, "SPEC-KIT-900", "--out", "packet.zip"];
        let told = home.flowhost(&made).expect(0).all();
        (unzipped(&home, "packet.zip"), told)
    };
    let (kit, _) = packet("kit");
    for stage in ["plan", "tasks", "unlock"] {
        let row = format!("| {stage} | ok |");
        let synopsis = &kit["synopsis.md"];
        assert!(synopsis.contains(&row), "{row}: {synopsis}");
        assert!(kit.contains_key(&format!("outputs/{stage}.json")));
    }
    let older = "of runs before it are plan, implement, validate, audit, unlock";
    let checklist = &kit["checklist.md"];
    assert!(checklist.contains(older), "{checklist}");
    let (audit, _) = packet("audit");
    let verdicts = &audit["verdicts.md"];
    assert!(verdicts.contains("| unlock | ok |"), "{verdicts}");
    let has = |end: &str| {
        let is_it = |it: &&String| it.contains("/spec-unlock_") && it.ends_with(end);
        audit.keys().filter(is_it).count()
    };
    assert_eq!((has("_telemetry.jsonl"), has("_verdict.json")), (1, 1));

    // The newest run did one stage, and the other one's files are in an archive.
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let first = list.as_array().unwrap().last().unwrap()["run_id"].clone();
    let baseline = |name: &'static str, more: &[&str]| {
        let keep = ["evidence", "baseline", "SPEC-KIT-900", "--name", name];
        home.flowhost(&[&keep[..], more].concat()).expect(0)
    };
    let told = baseline("partial", &[]).all();
    for part in ["(tasks) in ", "it has nothing of audit (run "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let whole = baseline("whole", &["--json", "--run", first.as_str().unwrap()]).json();
    assert_eq!(whole["stages"].as_array().map(Vec::len), Some(6));
    assert_eq!(whole["stages_of_other_runs"], json!({}), "{whole:#}");
    assert!(whole["files"].as_u64().unwrap() > 60, "{whole:#}");
    let path = home.path().join("evidence/archive");
    let archives = std::fs::read_dir(path).unwrap();
    let archives = archives.map(|entry| entry.unwrap().path());
    for archive in archives.filter(|it| it.extension().is_some_and(|it| it == "zst")) {
        std::fs::write(archive, "no archive").unwrap();
    }
    let (audit, told) = packet("audit");
    let sign = &audit["sign-off.md"];
    let named = "files that do not count: archive/SPEC-KIT-900_";
    assert!(sign.contains(named), "{sign}");
    let told: Vec<&str> = told.split_whitespace().collect();
    let told = told.join(" ");
    assert!(
        told.contains("it is an archive that cannot be read: it is another one than"),
        "{told}"
    );
}

#[test]
fn a_kit_tells_of_a_run_that_a_person_rejected_though_every_stage_is_ok() {
    let home = example("quality-gates");
    run(&home, "7", 9);
    let kit = || {
        home.flowhost(&["evidence", "kit", "GATES-1", "--out", "kit.zip"])
            .expect(0);
        unzipped(&home, "kit.zip")
    };
    let waits = kit();
    assert!(
        waits["retry.md"].contains(": waiting"),
        "{}",
        waits["retry.md"]
    );
    let word = |word: &str, code: i32| {
        let word = ["runs", word, "latest", "questions", "--by", "ann"];
        home.flowhost(&word).expect(0);
        home.flowhost(&["runs", "resume", "latest"]).expect(code);
    };
    word("approve", 0);
    let good = kit();
    for part in [
        "- [x] the newest run ended well",
        "- [x] every stage is of the newest run",
        "- [x] plan: the one agent that was asked has answered",
        "- [ ] clarify: no issue is left to a person: shared-devices",
    ] {
        let checklist = &good["checklist.md"];
        assert!(checklist.contains(part), "{part}: {checklist}");
    }
    assert!(
        good["synopsis.md"].contains("One agent was asked"),
        "{}",
        good["synopsis.md"]
    );
    run(&home, "8", 9);
    word("reject", 4);
    let rejected = kit();
    for part in [
        "- [ ] the newest run ended well: ",
        ", halted",
        "of runs before it are plan, analyze",
    ] {
        let checklist = &rejected["checklist.md"];
        assert!(checklist.contains(part), "{part}: {checklist}");
    }
    let retry = &rejected["retry.md"];
    assert!(retry.contains("flowhost runs show "), "{retry}");
    assert!(!retry.contains("nothing has to be tried"), "{retry}");
    let audit = ["evidence", "audit", "GATES-1", "--out", "audit.zip"];
    let told = home.flowhost(&audit).expect(0).all();
    for part in ["note: the newest run, ", ": halted", "left to a person"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let said = home.flowhost(&[&audit[..], &["--json"]].concat());
    let said = said.expect(0).json();
    assert_eq!(said["newest_run"]["status"], "halted", "{said:#}");
    assert!(said["open_issues"].as_u64() > Some(0), "{said:#}");
    assert_eq!(said["stages_of_older_runs"], json!(["plan", "analyze"]));

    // A later run of the spec whose evidence is in another folder says nothing of this one.
    let plan = home.read("plan.yaml");
    let other = plan.replace("GATES-1, spec:", "GATES-1, root: other, spec:");
    assert_ne!(plan, other);
    home.file("other.yaml", other);
    home.flowhost(&["run", "other.yaml", "--seed", "9"])
        .expect(9);
    let status = |more: &[&str]| {
        let said = home.flowhost(&[&audit[..], &["--json"], more].concat());
        said.expect(0).json()["newest_run"]["status"].clone()
    };
    assert_eq!(status(&[]), "halted");
    assert_eq!(status(&["--evidence", "other"]), "waiting");
}

/// Whoever takes files away must not have the run before them signed for in their place.
#[test]
fn evidence_that_is_gone_is_missed_in_folders_and_in_archives() {
    let home = example("spec-kit-900");
    run(&home, "7", 0);
    run(&home, "8", 0);
    let folder = home.path().join("evidence/consensus/SPEC-KIT-900");
    let names = || {
        let entries = std::fs::read_dir(&folder).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap())
    };
    let stem = |name: String| {
        let stem = name.strip_suffix("_telemetry.jsonl")?;
        stem.starts_with("spec-validate_").then(|| stem.to_owned())
    };
    let newest = names().filter_map(stem).max().unwrap();
    let packet = |kind: &str, page: &str| {
        let made = ["evidence", kind, "SPEC-KIT-900", "--out", "packet.zip"];
        let told = home.flowhost(&made).expect(0).all();
        let told: Vec<&str> = told.split_whitespace().collect();
        let mut files = unzipped(&home, "packet.zip");
        (told.join(" "), files.remove(page).unwrap_or_default())
    };
    let well = "stages that are not ok: none";
    assert!(packet("audit", "sign-off.md").1.contains(well));
    let ends = ["_telemetry.jsonl", "_verdict.json", "_synthesis.json"];
    for gone in [&ends[..], &ends[..1], &ends[1..2], &ends[2..]] {
        let paths = gone.iter().map(|end| folder.join(format!("{newest}{end}")));
        let kept: Vec<_> = paths
            .map(|path| (std::fs::read(&path).unwrap(), path))
            .collect();
        for (_, path) in &kept {
            std::fs::remove_file(path).unwrap();
        }
        let (told, sign) = packet("audit", "sign-off.md");
        let why = "it is neither there nor in an archive that can be read";
        assert!(told.contains(why), "{gone:?}: {told}");
        let named = "stages that are not ok: validate\n";
        assert!(sign.contains(named), "{gone:?}: {sign}");
        for end in gone {
            assert!(sign.contains(&format!("{newest}{end}")), "{sign}");
        }
        let (_, retry) = packet("kit", "retry.md");
        assert!(retry.contains("## validate: invalid"), "{retry}");
        for (bytes, path) in kept {
            std::fs::write(path, bytes).unwrap();
        }
    }

    let keep = ["evidence", "prune", "SPEC-KIT-900", "--keep", "0", "--yes"];
    home.flowhost(&keep).expect(0);
    assert!(packet("audit", "sign-off.md").1.contains(well));
    let archives = std::fs::read_dir(home.path().join("evidence/archive")).unwrap();
    let archives = archives.map(|it| it.unwrap().path());
    let mut archives: Vec<_> = archives
        .filter(|it| it.extension().is_some_and(|it| it == "zst"))
        .collect();
    // Without what stands behind their time, of two in one second.
    archives.sort_by_key(|it| it.to_str().unwrap().replace(".tar.zst", ""));
    assert_eq!(archives.len(), 2);
    let beside = |path: &std::path::Path| format!("{}.sha256", path.display());
    std::fs::remove_file(&archives[1]).unwrap();
    std::fs::remove_file(beside(&archives[1])).unwrap();
    let (_, sign) = packet("audit", "sign-off.md");
    assert!(
        sign.contains("stages that are not ok: plan, tasks"),
        "{sign}"
    );

    // A part of an archive with a hash that is right for it.
    let mut bytes = std::fs::read(&archives[0]).unwrap();
    bytes.truncate(bytes.len() / 2);
    let hash = Sha256::digest(&bytes);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&archives[0], bytes).unwrap();
    std::fs::write(beside(&archives[0]), format!("{hash}  a.tar.zst\n")).unwrap();
    let (told, _) = packet("audit", "sign-off.md");
    assert!(told.contains("it is not whole, or was altered"), "{told}");
    assert!(!told.contains("a bundle of evidence"), "{told}");
}
