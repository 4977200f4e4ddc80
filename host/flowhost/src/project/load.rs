//! Reads a plan file and the plans and schemas that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_flow::plan::limits::{PLAN_BYTES_MAX, SUB_PLAN_DEPTH_MAX};
use flowhost_flow::{Plan, parse_json_schema};
use flowhost_run::Documented;
use sha2::{Digest as _, Sha256};

use crate::ambient::Ambient;
use crate::finding::Finding;
use crate::project::Request;
use crate::report::problems::Texts;
use crate::sources::{DOCUMENT_BYTES_MAX, Sources};

struct Loader<'a> {
    ambient: &'a Ambient,
    sources: &'a Sources<'a>,
    texts: &'a mut Texts,
    /// The outermost plan's folder: nothing that a plan names may be outside of it.
    root: PathBuf,
    /// Plans that are being read, outermost first: one that comes again would never end.
    open: Vec<PathBuf>,
    /// Plans read so far, counted with every repetition.
    read: usize,
}

/// Bytes of a prompt: longer ones are data, and come by `with`.
const PROMPT_BYTES_MAX: u64 = 256 << 10;

/// Plans that one plan may bring in, each counted as often as it is named: the same file under many
/// spellings over several levels would otherwise multiply without end.
const PLANS_MAX: usize = 256;

/// What was read.
pub(super) struct Read {
    /// None when there is none to speak of.
    pub(super) plan: Option<Plan>,
    pub(super) dir: PathBuf,
    pub(super) findings: Vec<Finding>,
    /// What the evidence is about.
    pub(super) documents: BTreeMap<String, Documented>,
}

/// The plan with its folder.
pub(super) fn plan(
    ambient: &Ambient,
    sources: &Sources<'_>,
    request: &Request,
    texts: &mut Texts,
) -> Read {
    let path = ambient.resolve(&request.plan);
    let dir = path.parent().unwrap_or(ambient.cwd()).to_owned();
    let mut loader = Loader {
        ambient,
        sources,
        texts,
        root: dir.clone(),
        open: Vec::new(),
        read: 0,
    };
    // The plan file itself is the operator's word, but a link in the folder may have been put there with the plan: it
    // must not show another file's text in messages. What a run kept has no links.
    let stays = match sources.kept() {
        None => ambient.stays(&path),
        Some(_) => Ok(()),
    };
    // Asked beforehand: what reading a folder says differs by system, and says nothing of plans.
    let is_folder = sources.kept().is_none() && ambient.is_dir(&path);
    let text = match stays {
        _ if is_folder && request.text.is_none() => Err(vec![folder(sources, &path)]),
        _ if request.text.is_some() => Ok(loader.given(&path, request.text.as_deref())),
        Ok(()) => loader.text(&path),
        // `text` says it better: it knows that a plan was meant.
        Err(error) if error.is_missing() => loader.text(&path),
        Err(error) => Err(vec![Finding::from(&error)]),
    };
    let (plan, findings) = match text {
        Err(findings) => (None, findings),
        Ok(text) => loader.survey(&text, &path),
    };
    let mut read = Read {
        plan,
        dir,
        findings,
        documents: BTreeMap::new(),
    };
    if let Some(plan) = &read.plan {
        let (documents, findings) = loader.documents(plan, &read.dir);
        read.documents = documents;
        read.findings.extend(findings);
    }
    read
}

impl Loader<'_> {
    /// A plan as far as it can be read, with everything that is wrong with it and with what it names.
    fn survey(&mut self, text: &str, path: &Path) -> (Option<Plan>, Vec<Finding>) {
        let (mut plan, problems) = Plan::survey(text, &self.sources.shown(path));
        let mut findings = convert(problems);
        if let Some(plan) = &mut plan {
            findings.extend(self.attached(plan, path));
        }
        (plan, findings)
    }

    /// A sub-plan, in the same way.
    fn load(&mut self, path: &Path) -> (Option<Plan>, Vec<Finding>) {
        match self.text(path) {
            Ok(text) => self.survey(&text, path),
            Err(findings) => (None, findings),
        }
    }

    /// A text that no file holds.
    fn given(&mut self, path: &Path, text: Option<&str>) -> String {
        let text = text.unwrap_or_default().to_owned();
        self.texts.add(&self.sources.shown(path), text.as_str());
        text
    }

    fn text(&mut self, path: &Path) -> Result<String, Vec<Finding>> {
        let file = self.sources.shown(path);
        // By what the file is and not by its name: a link to the plan itself is the same plan. What a run kept is no
        // file, and its names are already those.
        let identity = match self.sources.kept() {
            Some(_) => path.to_owned(),
            None => self
                .ambient
                .canonical(path)
                .map_err(|error| vec![missing(&file, &error)])?,
        };
        self.read += 1;
        if self.read > PLANS_MAX {
            let message = format!("the plan brings in more than {PLANS_MAX} plans");
            return Err(vec![Finding::new(file, message)]);
        }
        // `>`, because the outermost plan is open too and is no sub-plan. The depth is told here, though
        // `attach_plan` refuses it as well: reading must end before there is anything to attach.
        if self.open.contains(&identity) || self.open.len() > SUB_PLAN_DEPTH_MAX {
            let message = "this plan runs itself, directly or through others, or nests too deeply";
            return Err(vec![Finding::new(file, message)]);
        }
        let text = match self.sources.kept() {
            Some(kept) => kept
                .text(&file)
                .map(str::to_owned)
                .map_err(|finding| vec![finding])?,
            None => {
                // One byte more than a plan may have: the reader of plans then refuses it, in the words that it has
                // for it.
                let text = self.ambient.read_text(path, PLAN_BYTES_MAX as u64 + 1);
                text.map_err(|error| vec![Finding::from(&error)])?
            }
        };
        self.texts.add(&file, text.as_str());
        Ok(text)
    }

    /// Brings in what the plan names; its own file is open meanwhile.
    fn attached(&mut self, plan: &mut Plan, path: &Path) -> Vec<Finding> {
        let file = self.sources.shown(path);
        let identity = match self.sources.kept() {
            Some(_) => Ok(path.to_owned()),
            None => self.ambient.canonical(path),
        };
        // The file was read a moment ago; should it have gone, its name does for the question whether it comes again.
        self.open.push(identity.unwrap_or_else(|_| path.to_owned()));
        let findings = self.attach(plan, &file, path.parent().unwrap_or(Path::new("")));
        self.open.pop();
        findings
    }

    fn attach(&mut self, plan: &mut Plan, file: &str, dir: &Path) -> Vec<Finding> {
        let mut findings = Vec::new();
        for wanted in plan.sub_plans() {
            let (child, mut problems) = match self.inside(&dir.join(&wanted.reference), "plan") {
                Ok(path) => self.load(&path),
                Err(problems) => (None, problems),
            };
            let attached = child.map(|child| plan.attach_plan(&wanted.reference, child));
            problems.extend(convert(attached.and_then(Result::err).unwrap_or_default()));
            let named = problems.into_iter().map(|finding| named(finding, file));
            findings.extend(named.map(|finding| placed(finding, file, wanted.at)));
        }
        for wanted in plan.schema_files() {
            let problems = self
                .inside(&dir.join(&wanted.reference), "schema")
                .and_then(|path| self.schema(&path))
                .and_then(|schema| {
                    plan.attach_schema(&wanted.reference, &schema)
                        .map_err(convert)
                })
                .err()
                .unwrap_or_default()
                .into_iter();
            findings.extend(problems.map(|finding| placed(finding, file, wanted.at)));
        }
        for wanted in plan.prompt_files() {
            let attached = self
                .inside(&dir.join(&wanted.reference), "prompt")
                .and_then(|path| self.prompt(&path));
            match attached {
                Ok(text) => plan.attach_prompt(&wanted.reference, &text),
                Err(problems) => {
                    let problems = problems.into_iter();
                    findings.extend(problems.map(|it| placed(it, file, wanted.at)));
                }
            }
        }
        findings
    }

    /// The path, if it is below the outermost plan's folder; what is not there is reported by
    /// whoever reads it.
    fn inside(&self, path: &Path, what: &str) -> Result<PathBuf, Vec<Finding>> {
        if self.sources.kept().is_some() {
            return Ok(path.to_owned()); // it was inside when the run was made
        }
        // A path that does not begin with the root is refused by `below`, as one that leaves it.
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        match self.ambient.below(&self.root, relative) {
            // That it is missing is told by whoever reads it, who knows what it would have been.
            Err(error) if !error.is_missing() => {
                let shown = path.display();
                let message = format!("cannot use the {what} `{shown}`: {}", error.source);
                Err(vec![Finding::new("", message)])
            }
            _ => Ok(path.to_owned()),
        }
    }

    fn prompt(&mut self, path: &Path) -> Result<String, Vec<Finding>> {
        self.plain_text(path, PROMPT_BYTES_MAX, "prompt")
    }

    /// What the evidence of the outermost plan is about, by what each is for.
    fn documents(
        &mut self,
        plan: &Plan,
        dir: &Path,
    ) -> (BTreeMap<String, Documented>, Vec<Finding>) {
        let (mut found, mut findings) = (BTreeMap::new(), Vec::new());
        let named = plan.evidence.iter().flat_map(|it| &it.documents);
        for (role, document) in named {
            let read = self
                .inside(&dir.join(&document.path), "document")
                .and_then(|path| self.plain_text(&path, DOCUMENT_BYTES_MAX, "document"));
            match read {
                Ok(text) => {
                    let documented = Documented {
                        path: document.path.clone(),
                        version: document.version.clone(),
                        sha256: hex::encode(Sha256::digest(text.as_bytes())),
                    };
                    found.insert(role.clone(), documented);
                }
                Err(problems) => {
                    let problems = problems.into_iter();
                    findings.extend(problems.map(|it| placed(it, &plan.file, document.at)));
                }
            }
        }
        (found, findings)
    }

    /// A text that says nothing to this host: what it says is for models and people.
    fn plain_text(&mut self, path: &Path, most: u64, what: &str) -> Result<String, Vec<Finding>> {
        let file = self.sources.shown(path);
        let text = match self.sources.kept() {
            Some(kept) => kept
                .text(&file)
                .map(str::to_owned)
                .map_err(|finding| vec![finding])?,
            None => self.ambient.read_text(path, most).map_err(|error| {
                let message = format!("cannot read the {what} `{}`: {}", error.path, error.source);
                let cure = format!("a {what} is a UTF-8 file beside the plan");
                vec![Finding::new("", message).cure(cure)]
            })?,
        };
        self.texts.add(&file, text.as_str());
        Ok(text)
    }

    fn schema(&mut self, path: &Path) -> Result<serde_json::Value, Vec<Finding>> {
        let file = self.sources.shown(path);
        let text = match self.sources.kept() {
            Some(kept) => kept
                .text(&file)
                .map(str::to_owned)
                .map_err(|finding| vec![finding])?,
            None => {
                let text = self.ambient.read_text(path, DOCUMENT_BYTES_MAX);
                text.map_err(|error| {
                    let (path, why) = (error.path, error.source);
                    let message = format!("cannot read the schema `{path}`: {why}");
                    vec![Finding::new("", message)]
                })?
            }
        };
        self.texts.add(&file, text.as_str());
        parse_json_schema(&text).map_err(|error| {
            let line = u32::try_from(error.line()).unwrap_or(0);
            let column = u32::try_from(error.column()).unwrap_or(0);
            vec![Finding::new(file, format!("this is not valid JSON: {error}")).at(line, column)]
        })
    }
}

/// A finding without a place gets the place of whoever named the file.
fn placed(finding: Finding, file: &str, at: flowhost_flow::problem::At) -> Finding {
    // Lines count from 1; 0 is no place.
    match finding.line {
        0 => Finding {
            file: file.to_owned(),
            ..finding
        }
        .at(at.line, at.column),
        _ => finding,
    }
}

/// What is wrong with another file as a whole is told where that file is named, and says which it is.
fn named(finding: Finding, file: &str) -> Finding {
    if finding.line > 0 || finding.file.is_empty() || finding.file == file {
        return finding;
    }
    let message = format!("`{}`: {}", finding.file, finding.message);
    Finding { message, ..finding }
}

/// A folder in the place of a plan.
fn folder(sources: &Sources<'_>, path: &Path) -> Finding {
    let usual = sources.shown(&path.join("plan.yaml"));
    Finding::new(
        sources.shown(path),
        "this is a folder, and a plan is a file",
    )
    .cure(format!("name the file in it, such as `{usual}`"))
}

fn missing(file: &str, error: &crate::ambient::FileError) -> Finding {
    if error.is_missing() {
        return Finding::new(file, "the plan does not exist").cure("check the path");
    }
    Finding::from(error)
}

fn convert(problems: Vec<flowhost_flow::Problem>) -> Vec<Finding> {
    problems.into_iter().map(Finding::from).collect()
}
