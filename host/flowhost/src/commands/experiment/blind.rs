//! Sheets for a reader, and what comes back of them.
//!
//! A score is no file that somebody put beside the evidence: it is the input of a run of its own (`review.yaml`), so that it is signed,
//! ordered and verified as any other, and the file that shows it names that run. Nothing that a stage left is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::output::{counted, neutral};
use flowhost_evidence::trials::{Key, Keyed, Outputs, Review, Scores, Sheet, reviews};
use flowhost_flow::Exit;
use flowhost_ledger::timestamp;
use flowhost_words::shell_word;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::ledgers::{Ledgers, Wrote};
use super::super::on_record;
use super::super::telemetry::FILE_BYTES_MAX;
use super::each_file;
use crate::cli::{ReviewArgs, SheetArgs};
use crate::commands::{Context, settle};

/// The plan of a run that records scores.
const REVIEW: &str = include_str!("review.yaml");
/// Bytes of a filled-in sheet and of a key: thousands of outputs.
const SHEET_BYTES_MAX: u64 = 4 << 20;

pub(super) fn hand_out(args: &SheetArgs, context: &Context) -> Result<Exit, Failure> {
    // A run that was killed is signed first: its outputs would be told as ones of a run that goes on.
    settle(context);
    let ambient = &context.ambient;
    let (out, key) = (ambient.resolve(&args.out), ambient.resolve(&args.key));
    if settled(&key, context).starts_with(settled(&out, context)) {
        let message = "the key would lie in the folder that the reader gets";
        return Err(Failure::new(Exit::Internal, message).hint("name another place for `--key`"));
    }
    let taken = ambient.is_dir(&out) && !ambient.list(&out)?.is_empty();
    // Both are looked at before anything is written: a sheet without its key can never be taken back.
    for (path, taken) in [(&out, taken), (&key, ambient.is_file(&key))] {
        if taken {
            let message = format!("`{}` is there already", path.display());
            return Err(Failure::new(Exit::Internal, message)
                .hint("a sheet may be filled in: name another place, or move it away"));
        }
    }
    let (outputs, there) = taken_in(&args.evidence, context)?;
    let seed = match &args.seed {
        Some(seed) => seed.clone(),
        // Nobody's choice, or who hands the sheet out would know which label is whose.
        None => hex::encode(ambient.entropy::<16>().map_err(|error| {
            Failure::new(Exit::Internal, "the system gives no randomness")
                .because(error.to_string())
        })?),
    };
    let sheet = outputs.sheet(
        args.experiment.as_deref(),
        args.stage.as_deref(),
        args.mock,
        &seed,
    );
    if sheet.files.is_empty() {
        let folder = args.evidence.display();
        let message = format!("nothing below `{folder}` is what is asked for");
        let hint = match args.mock {
            true => "leave out `--mock` where models answered",
            false => {
                "`--mock` hands out what scripts answered; `telemetry report --group-by stage` lists stages"
            }
        };
        return Err(Failure::new(Exit::Internal, message).hint(hint));
    }
    let unverified = unverified(&sheet, &there, &args.evidence, context)?;
    ambient.create_dir(&out)?;
    for (name, bytes) in &sheet.files {
        ambient.write(&out.join(name), bytes)?;
    }
    let mut bytes = serde_json::to_vec_pretty(&sheet.key).map_err(|error| {
        Failure::new(Exit::Internal, "the key cannot be written").because(error.to_string())
    })?;
    bytes.push(b'\n');
    // For its owner alone: the reader may have an account on the same machine.
    ambient.create_secret(&key, &bytes)?;
    if !unverified.is_empty() {
        let outputs = counted(unverified.len(), "output");
        let note = format!(
            "note: unverified: {outputs}, of runs that are not in this state folder or have not ended: who had the files may \
             have changed them\n"
        );
        context.output.message(&neutral(&note));
    }
    let count = sheet.key.outputs.len();
    if context.output.json {
        context.output.document(&json!({
            "sheet": args.out.display().to_string(), "key": args.key.display().to_string(),
            "outputs": sheet.key.outputs.keys().collect::<Vec<_>>(), "unverified": unverified,
        }));
    } else {
        let text = format!(
            "{} in {}; fill in scores.yaml there, then: flowhost experiment review {} --key {} --by NAME\n",
            counted(count, "output"),
            args.out.display(),
            shell_word(&args.out.join("scores.yaml").display().to_string()),
            shell_word(&args.key.display().to_string()),
        );
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

/// The outputs of an evidence folder and of its archives, and what each file of it is.
fn taken_in(evidence: &Path, context: &Context) -> Result<(Outputs, Hashes), Failure> {
    let (mut outputs, mut there) = (Outputs::default(), Hashes::new());
    each_file(evidence, context, |path, bytes| {
        outputs.add(path, bytes);
        there.insert(path.to_owned(), hex::encode(Sha256::digest(bytes)));
    })?;
    Ok((outputs, there))
}

/// The labels of outputs that nobody here can hold against their runs. Fails where a run has another one on record: a
/// person would read for days what no stage has said, and be told only when the scores come back.
fn unverified(
    sheet: &Sheet,
    there: &Hashes,
    evidence: &Path,
    context: &Context,
) -> Result<Vec<String>, Failure> {
    let ledgers = Ledgers::new(context);
    let mut unverified = Vec::new();
    // By what is said: a ledger that does not stand is told once, and not with each stage of its run.
    let mut faults: BTreeMap<String, Finding> = BTreeMap::new();
    for (label, keyed) in &sheet.key.outputs {
        match holds(keyed, there, &ledgers) {
            Held::AsWritten => {}
            Held::Away | Held::Going => unverified.push(label.clone()),
            Held::Otherwise(why) => {
                let cure = format!(
                    "`flowhost verify {}` names what was changed; put back what the run wrote, or take its files away",
                    keyed.run_id
                );
                let file = evidence.join(&keyed.synthesis_path).display().to_string();
                let finding = Finding::new(file, why.clone()).cure(cure);
                faults.entry(why).or_insert(finding);
            }
        }
    }
    match faults.is_empty() {
        true => Ok(unverified),
        false => {
            let what = format!("the evidence below `{}`", evidence.display());
            let findings = faults.into_values().collect();
            Err(Failure::findings(&what, findings))
        }
    }
}

/// Where a path leads once links are followed; of what is not there yet, its names below what is. A key behind a link would
/// otherwise lie in the reader's folder under another name.
fn settled(path: &Path, context: &Context) -> PathBuf {
    for known in path.ancestors() {
        let Ok(mut real) = context.ambient.canonical(known) else {
            continue;
        };
        for part in path.strip_prefix(known).unwrap_or(path).components() {
            match part {
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => real.push(name),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        return real;
    }
    path.to_owned()
}

pub(super) fn take_back(args: &ReviewArgs, context: &mut Context) -> Result<Exit, Failure> {
    let evidence = context.ambient.resolve(&args.evidence);
    let now = timestamp(context.ambient.now_ms().saturating_mul(1_000));
    let found = read(args, &now, &evidence, context)?;
    // Nobody may archive or write a spec's files while its scores are put beside them.
    let specs: BTreeSet<&str> = found.iter().map(|it| it.keyed.spec_id.as_str()).collect();
    let locks = on_record::locks(&evidence, &specs, context)?;
    let readings: Vec<Value> = found.iter().map(Review::document).collect();
    let review = json!({ "reviewer": args.by, "recorded_at": now, "readings": readings });
    // On record before it is shown: a file without its run would be a score that nobody signed.
    let run = on_record::record(("review.yaml", REVIEW), "review", review, context)?;
    let files = found.iter().map(|it| on_record::Shown {
        spec: it.keyed.spec_id.clone(),
        path: it.path.clone(),
        bytes: it.file(&run),
    });
    on_record::written(&files.collect::<Vec<_>>(), &locks, &run)?;
    drop(locks);
    let paths: Vec<String> = found
        .iter()
        .map(|it| args.evidence.join(&it.path).display().to_string())
        .collect();
    if context.output.json {
        let document = json!({ "run_id": run, "reviewer": args.by, "files": paths });
        context.output.document(&document);
    } else {
        let text = format!(
            "{} of {}, on record as run {run}\n{}\n",
            counted(found.len(), "reading"),
            args.by,
            paths.join("\n")
        );
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

/// The reviews; all that is wrong with the sheet, or has changed since it was handed out, at once.
fn read(
    args: &ReviewArgs,
    now: &str,
    evidence: &Path,
    context: &Context,
) -> Result<Vec<Review>, Failure> {
    let found = filled_in(args, now, context)?;
    let findings = held_against(&found, args, evidence, context)?;
    match findings.is_empty() {
        true => Ok(found),
        false => {
            let what = format!("`{}`", args.scores.display());
            Err(Failure::findings(&what, findings))
        }
    }
}

/// What the sheet says, by its key.
fn filled_in(args: &ReviewArgs, now: &str, context: &Context) -> Result<Vec<Review>, Failure> {
    let ambient = &context.ambient;
    let scores_file = args.scores.display().to_string();
    let text = ambient.read_text(&args.scores, SHEET_BYTES_MAX)?;
    let scores: Scores = serde_saphyr::from_str(&text).map_err(|error| {
        Failure::new(
            Exit::Internal,
            format!("`{scores_file}` is not a sheet's scores"),
        )
        .because(error.without_snippet().to_string())
        .hint("keep its lines as they were handed out, and fill in whole numbers from 1 to 5")
    })?;
    let key = ambient.read(&args.key, SHEET_BYTES_MAX)?;
    let key: Key = serde_json::from_slice(&key).map_err(|error| {
        let message = format!("`{}` is not the key of a sheet", args.key.display());
        Failure::new(Exit::Internal, message).because(error.to_string())
    })?;
    let found = match reviews(&key, &scores, &args.by, now) {
        Ok(found) => found,
        Err(faults) => {
            let findings =
                grouped(faults)
                    .into_iter()
                    .map(|(label, what, more)| match label.as_str() {
                        "" => Finding::new("", what),
                        label => {
                            let message = format!("`{label}`{more}: {what}");
                            Finding::at_text(&scores_file, &text, &format!("{label}:"), message)
                        }
                    });
            let findings = findings.collect();
            return Err(Failure::findings(&format!("`{scores_file}`"), findings));
        }
    };
    if found.is_empty() {
        let message = format!("`{scores_file}` has no scores yet");
        return Err(Failure::new(Exit::Internal, message).hint("whole numbers from 1 to 5"));
    }
    Ok(found)
}

/// What has changed since the sheet was handed out, what the key says otherwise than the evidence, and what has been
/// read before.
fn held_against(
    found: &[Review],
    args: &ReviewArgs,
    evidence: &Path,
    context: &Context,
) -> Result<Vec<Finding>, Failure> {
    let ambient = &context.ambient;
    let folder = args.scores.parent().unwrap_or(Path::new(""));
    let (known, there) = taken_in(&args.evidence, context)?;
    let ledgers = Ledgers::new(context);
    let (mut findings, mut gone) = (Vec::new(), Vec::new());
    let (mut changed, mut twice) = (Vec::new(), Vec::new());
    for review in found {
        let keyed = &review.keyed;
        let before = findings.len() + changed.len() + gone.len();
        let output = folder.join(format!("{}.json", review.label));
        let mut has_changed = |path: &Path, what: &str| {
            let message = format!("{what} has changed since the sheet was handed out");
            changed.push((path.display().to_string(), message));
        };
        match ambient.read(&output, FILE_BYTES_MAX) {
            Ok(bytes) if hex::encode(Sha256::digest(&bytes)) == keyed.output_sha256 => {}
            Ok(_) => has_changed(&output, "what was read"),
            Err(error) => findings.push(Finding::from(&error)),
        }
        // Where it is, or in an archive: runs that came after the sheet may have had it put away.
        let synthesis = evidence.join(&keyed.synthesis_path);
        match there.get(&keyed.synthesis_path) {
            Some(sha256) if *sha256 == keyed.synthesis_sha256 => {}
            Some(_) => has_changed(&synthesis, "what the stage left"),
            None => {
                let what =
                    "what the stage left is neither there nor in an archive that could be read";
                gone.push((synthesis.display().to_string(), what.to_owned()));
            }
        }
        // Files that have changed are told above, and would be told here a second time.
        if findings.len() + changed.len() + gone.len() == before
            && let Some(what) = forged(keyed, &known).or_else(|| differ(keyed, &there, &ledgers))
        {
            let finding = Finding::new(args.key.display().to_string(), what);
            let cure = "take the key as `experiment sheet` wrote it, or hand out a new sheet";
            findings.push(finding.cure(cure));
        }
        let target = evidence.join(&review.path);
        // A reader who reads twice has one opinion, and would count as two.
        if there.contains_key(&review.path) || ambient.is_file(&target) {
            let message = format!("`{}` has read this output already", args.by);
            twice.push((target.display().to_string(), message));
        }
    }
    let changed = grouped(changed).into_iter().chain(grouped(gone));
    findings.extend(changed.map(|(file, what, more)| Finding::new(file, format!("{what}{more}"))));
    let twice = grouped(twice).into_iter().map(|(file, what, more)| {
        Finding::new(file, format!("{what}{more}"))
            .cure("a second opinion of the same reader needs another name")
    });
    findings.extend(twice);
    Ok(findings)
}

/// SHA-256 of each file of an evidence folder and of its archives, by its path below it.
type Hashes = BTreeMap<String, String>;

/// How an output stands beside what its run has on record.
enum Held {
    /// As the run wrote it.
    AsWritten,
    /// The run is not here: the evidence is all that there is.
    Away,
    /// The run has not ended, and nobody has signed what it wrote.
    Going,
    /// The run has something else on record, or is not believed; and why.
    Otherwise(String),
}

/// Holds an output, and what tells whose it is, against the ledger of its run.
fn holds(keyed: &Keyed, there: &Hashes, ledgers: &Ledgers<'_>) -> Held {
    let run = &keyed.run_id;
    // Who answered, and as which variant, stands in the telemetry beside the output.
    let stem = keyed.synthesis_path.trim_end_matches("synthesis.json");
    let telemetry = format!("{stem}telemetry.jsonl");
    let beside = there.get(&telemetry).map_or("", String::as_str);
    for (path, sha256) in [
        (&keyed.synthesis_path, keyed.synthesis_sha256.as_str()),
        (&telemetry, beside),
    ] {
        match ledgers.wrote(run, path, sha256) {
            Wrote::This => {}
            Wrote::Away => return Held::Away,
            Wrote::Going => return Held::Going,
            Wrote::Broken(why) => {
                return Held::Otherwise(format!("the run `{run}` is not believed: {why}"));
            }
            Wrote::Another | Wrote::Nothing => {
                return Held::Otherwise(format!(
                    "the run `{run}` has no `{path}` of this content on record"
                ));
            }
        }
    }
    Held::AsWritten
}

/// What the ledger of a key's run says otherwise; none where it says the same, and where the run is not here.
fn differ(keyed: &Keyed, there: &Hashes, ledgers: &Ledgers<'_>) -> Option<String> {
    match holds(keyed, there, ledgers) {
        Held::AsWritten | Held::Away => None,
        Held::Going => Some(format!(
            "the run `{}` is not believed: it has not ended, and its ledger is not signed to its end",
            keyed.run_id
        )),
        Held::Otherwise(why) => Some(why),
    }
}

/// What a key says that the evidence does not; none where both say the same.
fn forged(keyed: &Keyed, known: &Outputs) -> Option<String> {
    let (spec, stage, run) = (&keyed.spec_id, &keyed.stage, &keyed.run_id);
    let Some(found) = known.keyed(spec, stage, run) else {
        return Some(format!(
            "the evidence has no output of the stage `{stage}` of {spec} from the run `{run}`"
        ));
    };
    let differs = keyed.differs(&found);
    let fields: Vec<String> = differs.iter().map(|it| format!("`{it}`")).collect();
    (!fields.is_empty()).then(|| {
        let fields = fields.join(", ");
        format!("the key and the evidence of the run `{run}` do not say the same in {fields}")
    })
}

/// Faults that say the same of several places, told once: of the first place, with how many more there are. A
/// sheet of a day's work would else be answered with a page for each of its outputs.
fn grouped(faults: Vec<(String, String)>) -> Vec<(String, String, String)> {
    let mut groups: Vec<(String, String, usize)> = Vec::new();
    for (place, what) in faults {
        match groups.iter_mut().find(|(_, told, _)| *told == what) {
            Some((_, _, more)) => *more += 1,
            None => groups.push((place, what, 0)),
        }
    }
    let groups = groups.into_iter();
    groups
        .map(|(place, what, more)| match more {
            0 => (place, what, String::new()),
            more => (place, what, format!(" (and {more} more)")),
        })
        .collect()
}
