//! Inputs: from the command line's text to typed values, files read and folders found.
//!
//! A path from the command line is the operator's and may be anywhere; one that the plan or a client
//! names stays below the plan, because neither must widen what it may read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flowhost_flow::Plan;
use flowhost_flow::plan::{FileInput, InputDecl, InputType, VARIANT};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::ambient::Ambient;
use crate::finding::Finding;
use crate::project::{Given, Request};

/// Bytes of a `file` input: it travels as one JSON string.
/// What is larger is a matter for a granted folder, of which a plugin reads what it needs; as an input it is held by
/// the run, by each record and by each call that it is handed to.
const FILE_INPUT_BYTES_MAX: u64 = 4 << 20;

/// Inputs with their values.
#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) values: Map<String, Value>,
    pub(super) folders: BTreeMap<String, PathBuf>,
    /// Whether every input has its value: what lacks one because of that is not told again.
    pub(super) sound: bool,
}

pub(super) fn bind(
    ambient: &Ambient,
    plan: &Plan,
    dir: &Path,
    request: &Request,
    findings: &mut Vec<Finding>,
) -> Bound {
    // Before anything is checked: what a run took was sound under the plan as it was, and a replay must not fail of a
    // file that has gone since.
    if let Given::Recorded(values) = &request.given {
        return recorded(plan, values);
    }
    // A plan that is wrong itself is bound as far as it is right, so that what was typed is not reported as unknown
    // because of a slip in the declaration.
    if plan.inputs.keys().any(|name| is_faulty(plan, name)) || lacks_inputs(plan) {
        return bind_sound(ambient, plan, dir, request, findings);
    }
    if let Given::Forked(values) = &request.given {
        return changed(ambient, plan, dir, values, request, findings);
    }
    // `findings` may hold what others have found.
    let before = findings.len();
    let mut given = Said {
        values: parse(plan, &request.inputs, findings),
        ..Said::default()
    };
    given.typed = given.values.keys().cloned().collect();
    if let Given::Values(values) = &request.given {
        given.add(plan, values, findings);
    }
    let folders = given.look_up(ambient, plan, dir, findings);
    let given = given.values;
    let refused = findings.len() > before;
    // A server asks for this before any client has called: what lacks a value then is what the client will give.
    let missing = request.given == Given::Later && plan.bind_inputs(&given).is_err();
    if refused && request.given != Given::Later {
        findings.extend(of_the_rest(plan, request, given.clone()));
    }
    let values = match refused || missing {
        true => None,
        false => match plan.bind_inputs(&given) {
            Ok(values) => {
                // A run renders them once more: here, whoever only validates is told, too.
                let labels = plan.render_labels(&values).err().unwrap_or_default();
                findings.extend(labels.into_iter().map(Finding::from));
                Some(values)
            }
            Err(problems) => {
                findings.extend(problems.into_iter().map(Finding::from));
                None
            }
        },
    };
    if matches!(request.given, Given::Values(_)) {
        findings.iter_mut().skip(before).for_each(for_client);
    }
    Bound {
        sound: values.is_some(),
        values: values.unwrap_or_default(),
        folders,
    }
}

/// What is wrong with inputs, as a client is told of it, who has neither the plan's file nor a command line.
fn for_client(finding: &mut Finding) {
    finding.file.clear();
    (finding.line, finding.column) = (0, 0);
    if let Some(option) = finding.hint.strip_prefix("--input ") {
        let name = option.split('=').next().unwrap_or(option);
        finding.hint = format!("give `{name}` among the arguments, as its description says");
    }
    // Where the plan lists the words is for whoever can write there; the message names all of them.
    let places = ["the words stand in ", "The words stand in "];
    let before = |place: &str| Some(finding.hint.split_once(place)?.0.trim_end().to_owned());
    if let Some(before) = places.into_iter().find_map(before) {
        finding.hint = before;
    }
}

/// What is wrong with the other inputs, where some were refused already: those are taken as if they were right.
fn of_the_rest(plan: &Plan, request: &Request, mut given: BTreeMap<String, Value>) -> Vec<Finding> {
    let mut said: BTreeSet<String> = request
        .inputs
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    if let Given::Values(values) = &request.given {
        said.extend(values.keys().cloned());
    }
    // That one of these is not there has been told.
    said.extend(plan.file_inputs(&given).into_iter().map(|it| it.name));
    if said.contains(VARIANT) && !given.contains_key(VARIANT) {
        return Vec::new(); // which values the others have is not known
    }
    for name in said {
        if let Some(decl) = plan.inputs.get(&name) {
            given.entry(name).or_insert_with(|| any_of(decl));
        }
    }
    let problems = plan.bind_inputs(&given).err().unwrap_or_default();
    problems.into_iter().map(Finding::from).collect()
}

/// A value that the input may have.
fn any_of(decl: &InputDecl) -> Value {
    let plain = || match decl.ty {
        InputType::String | InputType::File | InputType::Dir => Value::from(""),
        InputType::Number => Value::from(0),
        InputType::Bool => Value::from(false),
        InputType::List => Value::Array(Vec::new()),
        InputType::Object => Value::Object(Map::new()),
    };
    decl.allowed.first().cloned().unwrap_or_else(plain)
}

/// Whether something is wrong with how an input is declared.
fn is_faulty(plan: &Plan, name: &str) -> bool {
    plan.faults().touch("inputs", name)
}

/// Whether it is not known which inputs there are, or which values a variant gives them.
fn lacks_inputs(plan: &Plan) -> bool {
    let faults = plan.faults();
    let sections = ["inputs", "variants"];
    faults.astray() || sections.iter().any(|section| faults.touch_section(section))
}

/// Of a plan whose inputs are not all declared as they should be, those that are.
fn bind_sound(
    ambient: &Ambient,
    plan: &Plan,
    dir: &Path,
    request: &Request,
    findings: &mut Vec<Finding>,
) -> Bound {
    // With variants, which inputs have a value depends on all of them: left out, some would be reported as missing
    // that are not.
    if lacks_inputs(plan) || !plan.variants.is_empty() {
        return Bound::default();
    }
    let mut sound = plan.clone();
    sound.inputs.retain(|name, _| !is_faulty(plan, name));
    let mut request = request.clone();
    request.inputs.retain(|(name, _)| !is_faulty(plan, name));
    if let Given::Values(values) | Given::Forked(values) = &mut request.given {
        values.retain(|name, _| !is_faulty(plan, name));
    }
    let bound = bind(ambient, &sound, dir, &request, findings);
    Bound {
        sound: false,
        ..bound
    }
}

/// Inputs as somebody said them: paths are not looked up, nor are defaults filled in.
#[derive(Default)]
struct Said {
    values: BTreeMap<String, Value>,
    /// Names of those from the command line.
    typed: BTreeSet<String>,
    /// Names of those that hold a file's text, and not its path.
    texts: BTreeSet<String>,
}

impl Said {
    /// Adds what a client gave.
    fn add(&mut self, plan: &Plan, values: &Map<String, Value>, findings: &mut Vec<Finding>) {
        for (name, value) in values {
            // Refused and not ignored: a client that believes its value counts would act on the answer.
            if self.typed.contains(name) {
                let message = format!("input `{name}` is not yours to give");
                findings.push(Finding::new("", message));
                continue;
            }
            if let Some(decl) = plan.inputs.get(name).filter(|it| it.ty.is_path()) {
                // Left to the plan's own path, it would be another folder than the client thinks.
                if !value.is_string() {
                    let one = decl.ty.one();
                    let message = format!("input `{name}` is {one}, another type was given");
                    findings.push(Finding::new("", message));
                    continue;
                }
                if decl.ty == InputType::File {
                    self.texts.insert(name.clone());
                }
            }
            self.values.insert(name.clone(), value.clone());
        }
    }

    /// Reads the files and finds the folders that are named.
    fn look_up(
        &mut self,
        ambient: &Ambient,
        plan: &Plan,
        dir: &Path,
        findings: &mut Vec<Finding>,
    ) -> BTreeMap<String, PathBuf> {
        let mut folders = BTreeMap::new();
        for input in plan.file_inputs(&self.values) {
            // A client sends the text itself. A path from it would be read with this host's rights.
            if self.texts.contains(&input.name) {
                let text = self.values.get(&input.name).and_then(Value::as_str);
                let problem = pinned(&input, "what was given", text.unwrap_or_default()).err();
                findings.extend(problem.map(|message| Finding::new("", message)));
                continue;
            }
            // A client's folder counts as the plan's: only what was typed here is the operator's.
            let from_plan = !self.typed.contains(&input.name);
            match locate(ambient, dir, &input, from_plan) {
                Ok(Found::Folder(path)) => {
                    let named = Value::from(input.path);
                    self.values.insert(input.name.clone(), named);
                    folders.insert(input.name, path);
                }
                Ok(Found::Text(text)) => {
                    self.values.insert(input.name, Value::from(text));
                }
                Err(message) => findings.push(not_found(plan, &input, message, from_plan)),
            }
        }
        folders
    }
}

fn not_found(plan: &Plan, input: &FileInput, message: String, from_plan: bool) -> Finding {
    // What was typed is at fault, and not the line of the plan that asks for it.
    if !from_plan {
        let what = match input.is_dir {
            true => "folder",
            false => "file",
        };
        let cure = format!("name a {what} that exists, relative to where you are");
        return Finding::new("", message).cure(cure);
    }
    let decl = plan.inputs.get(&input.name);
    let place = decl.map(|decl| decl.at).unwrap_or_default();
    Finding::new(&plan.file, message)
        .at(place.line, place.column)
        .cure(format!("--input {}=PATH", input.name))
}

/// Inputs as a run recorded them. Folders are not looked for: a replay opens none.
fn recorded(plan: &Plan, values: &Map<String, Value>) -> Bound {
    let folders = plan.inputs.iter().filter(|(_, it)| it.ty == InputType::Dir);
    let folders = folders.filter_map(|(name, _)| {
        let path = values.get(name)?.as_str()?;
        Some((name.clone(), PathBuf::from(path)))
    });
    Bound {
        folders: folders.collect(),
        values: values.clone(),
        sound: true,
    }
}

/// Inputs as a run recorded them, but for those that the operator gives.
fn changed(
    ambient: &Ambient,
    plan: &Plan,
    dir: &Path,
    values: &Map<String, Value>,
    request: &Request,
    findings: &mut Vec<Finding>,
) -> Bound {
    let before = findings.len();
    let Bound { mut folders, .. } = recorded(plan, values);
    let typed = parse(plan, &request.inputs, findings);
    // Under another variant, what the first one gave is not this run's.
    let varied = |name: &String| typed.contains_key(VARIANT) && plan.varies(name);
    // An input that the plan does not have any more is not this run's.
    let mut given: BTreeMap<String, Value> = values
        .iter()
        .filter(|(name, _)| plan.inputs.contains_key(*name) && !varied(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    given.extend(typed.clone());
    let named = plan.file_inputs(&typed).into_iter();
    for input in named.filter(|it| typed.contains_key(&it.name) || varied(&it.name)) {
        match locate(ambient, dir, &input, !typed.contains_key(&input.name)) {
            Ok(Found::Folder(path)) => {
                given.insert(input.name.clone(), Value::from(input.path));
                folders.insert(input.name, path);
            }
            Ok(Found::Text(text)) => drop(given.insert(input.name, Value::from(text))),
            Err(message) => findings.push(Finding::new("", message)),
        }
    }
    let values = match plan.bind_inputs(&given) {
        Ok(values) => values,
        Err(problems) => {
            findings.extend(problems.into_iter().map(Finding::from));
            Map::new()
        }
    };
    Bound {
        sound: findings.len() == before,
        values,
        folders,
    }
}

fn parse(
    plan: &Plan,
    typed: &[(String, String)],
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, Value> {
    let mut given = BTreeMap::new();
    for (name, text) in typed {
        let parsed = match plan.inputs.get(name) {
            Some(decl) => decl.parse_text(text),
            None => Ok(Value::from(text.as_str())), // `bind_inputs` says that it is unknown
        };
        match parsed {
            Err(message) => {
                let like = plan.inputs.get(name).map(|decl| decl.example());
                findings.push(Finding::new("", message).cure(like.unwrap_or_default()));
            }
            Ok(_) if given.contains_key(name) => {
                findings.push(Finding::new("", format!("--input {name} was given twice")));
            }
            Ok(value) => {
                given.insert(name.clone(), value);
            }
        }
    }
    given
}

enum Found {
    Folder(PathBuf),
    Text(String),
}

fn locate(
    ambient: &Ambient,
    dir: &Path,
    input: &FileInput,
    from_plan: bool,
) -> Result<Found, String> {
    let name = &input.name;
    let path = Path::new(&input.path);
    let found = if from_plan {
        // Links are followed, and where they end must still be below.
        ambient.below(dir, path)
    } else {
        ambient.canonical(path)
    };
    let path =
        found.map_err(|error| format!("input `{name}`: `{}`: {}", input.path, error.source))?;
    if input.is_dir {
        if !ambient.is_dir(&path) {
            return Err(format!("input `{name}`: `{}` is not a folder", input.path));
        }
        return Ok(Found::Folder(path));
    }
    let text = ambient
        .read_text(&path, FILE_INPUT_BYTES_MAX)
        .map_err(|error| format!("input `{name}`: `{}`: {}", input.path, error.source))?;
    pinned(input, &format!("`{}`", input.path), &text)?;
    Ok(Found::Text(text))
}

/// Holds a file's text against the hash that the plan wants of it.
fn pinned(input: &FileInput, what: &str, text: &str) -> Result<(), String> {
    // Of the text that was read, and not of the file again: it may be another by then.
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    match &input.sha256 {
        Some(wanted) if *wanted != digest => Err(format!(
            "input `{}`: {what} is pinned to {wanted}, it is {digest}",
            input.name
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "flowhost: v1\nkind: workflow\nname: p\ninputs:\n  folder: { type: dir, path: PATH }\n\
        plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
        steps: { a: { uses: say, with: { x: \"${{ inputs.folder }}\" } } }\n";

    fn bound_with(path: &str, typed: &[(&str, &str)], given: Given) -> (Bound, Vec<Finding>) {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(BTreeMap::new(), dir.path().join("plans"), None);
        for folder in ["plans/in", "outside"] {
            ambient.create_dir(&dir.path().join(folder)).unwrap();
        }
        let link = dir.path().join("plans/link");
        std::os::unix::fs::symlink(dir.path().join("outside"), link).unwrap();
        let plan = Plan::parse(&PLAN.replace("PATH", path), "plan.yaml").unwrap();
        let inputs = typed
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        let mut findings = Vec::new();
        let request = Request {
            inputs: inputs.collect(),
            given,
            ..Request::default()
        };
        let bound = bind(&ambient, &plan, ambient.cwd(), &request, &mut findings);
        (bound, findings)
    }

    fn bound(path: &str, typed: &[(&str, &str)]) -> (Bound, Vec<Finding>) {
        bound_with(path, typed, Given::Nothing)
    }

    fn from_client(name: &str, value: &str) -> Given {
        Given::Values(Map::from_iter([(name.to_owned(), Value::from(value))]))
    }

    #[test]
    fn a_client_cannot_name_a_folder_outside_the_plans() {
        for path in ["../outside", "/", "in/../../outside", "link"] {
            let (_, findings) = bound_with("in", &[], from_client("folder", path));
            assert!(
                findings[0].message.contains("leaves the plan's folder"),
                "{findings:?}"
            );
        }
        let (bound, findings) = bound_with("none", &[], from_client("folder", "in"));
        assert!(findings.is_empty(), "{findings:?}");
        assert!(bound.folders["folder"].ends_with("plans/in"));
    }

    #[test]
    fn a_client_is_told_no_place_in_a_file_that_it_does_not_have() {
        let picks = "path: in }\n  pick: { type: string, default: alpha, enum: [alpha, beta] }";
        let text = PLAN.replace("path: PATH }", picks);
        let plan = Plan::parse(&text, "plan.yaml").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
        ambient.create_dir(&dir.path().join("in")).unwrap();
        for (given, hint) in [("beto", "did you mean `beta`?"), ("zzzzzzzz", "")] {
            let request = Request {
                given: from_client("pick", given),
                ..Request::default()
            };
            let mut findings = Vec::new();
            bind(&ambient, &plan, ambient.cwd(), &request, &mut findings);
            let refused = findings
                .iter()
                .find(|it| it.message.contains("must be one of"));
            assert_eq!(refused.map(|it| it.hint.as_str()), Some(hint), "{given}");
        }
    }

    #[test]
    fn a_client_cannot_give_what_the_operator_gave() {
        let (bound, findings) = bound_with("in", &[("folder", "in")], from_client("folder", "in"));
        assert_eq!(findings[0].message, "input `folder` is not yours to give");
        assert!(!bound.sound);
    }

    #[test]
    fn what_comes_later_is_not_missing_yet() {
        let (bound, findings) = bound_with("in", &[], Given::Later);
        assert!(findings.is_empty() && bound.sound, "{findings:?}");
    }

    #[test]
    fn a_plan_cannot_name_a_folder_outside_its_own() {
        for path in ["../outside", "/", "in/../../outside", "link"] {
            let (_, findings) = bound(path, &[]);
            assert!(
                findings[0].message.contains("leaves the plan's folder"),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn the_operator_can_name_any_folder() {
        let (bound, findings) = bound("in", &[("folder", "../outside")]);
        assert!(findings.is_empty(), "{findings:?}");
        assert!(bound.folders["folder"].ends_with("outside"));
        assert_eq!(bound.values["folder"], "../outside");
    }

    #[test]
    fn a_label_that_an_input_makes_too_long_is_told_with_the_inputs() {
        let text = PLAN.replace("PATH", "in").replace(
            "name: p\n",
            "name: p\nlabels: { about: \"${{ inputs.folder }}\" }\n",
        );
        let plan = Plan::parse(&text, "plan.yaml").unwrap();
        let told = |folder: &str| {
            let dir = tempfile::tempdir().unwrap();
            let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
            ambient.create_dir(&dir.path().join("in")).unwrap();
            let request = Request {
                inputs: vec![("folder".to_owned(), folder.to_owned())],
                ..Request::default()
            };
            let mut findings = Vec::new();
            bind(&ambient, &plan, ambient.cwd(), &request, &mut findings);
            findings
        };
        assert!(told("in").is_empty());
        let findings = told(&format!("{}in", "./".repeat(200)));
        assert_eq!(findings.len(), 1, "{findings:?}");
        let message = "label `about`: its value has 402 characters, and a label has at most 256";
        assert_eq!(findings[0].message, message);
    }

    #[test]
    fn reports_unknown_inputs_and_inputs_given_twice() {
        assert_eq!(
            bound("in", &[("folder", "in"), ("folder", "in")]).1.len(),
            1
        );
        assert_eq!(bound("in", &[("fold", "in")]).1.len(), 1);
        assert_eq!(bound("none", &[]).1.len(), 1);
    }
}
